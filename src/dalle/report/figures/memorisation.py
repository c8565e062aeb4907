"""Samples beside the training images nearest to them: are they copies, and would copies be noticed?"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from dalle.evaluation.memorisation import COPY, NUM_OTHERS
from dalle.report.frames import require_columns
from dalle.report.lettering import line_height, wrap
from dalle.report.sheet import HEADER, MARGIN, Sheet, check_images
from dalle.report.style import HEADING, LABEL, MODELS, MUTED, NOTE, WIDTH, points, styled

COLUMNS, GUTTER, GAP = 8, 90, 6
SIDE = (WIDTH - 2 * MARGIN - GUTTER - GAP * (COLUMNS - 1)) // COLUMNS
BAND_HEAD, BAND_GAP = 26, 18
BAND_HEIGHT = BAND_HEAD + 2 * (SIDE + GAP) + line_height(NOTE) + BAND_GAP
PLOT_HEIGHT, BIN = 150, 0.025


@dataclass(frozen=True, kw_only=True)
class Band:
    """At most eight images, uint8 (N, H, W, 3), over the training image nearest to each, and their relative distances."""

    heading: str
    note: str
    name: str
    images: np.ndarray
    nearest: np.ndarray
    relative: Sequence[float]


@styled
def memorisation(bands: Sequence[Band], table: pd.DataFrame, *, num_training: int, dataset: str) -> Figure:
    """The bands, and how the relative distances of all images of `dalle` and `real` are spread.

    `table` has `model, relative`, a row an image; `num_training` images were searched.
    """
    require_columns(table, ("model", "relative"), "nearest training images")
    ours = table[table["model"] == "dalle"]["relative"]
    subtitle = (
        f"{(ours < COPY).sum()} of {len(ours):,} samples are copies: less than half as far from the nearest of "
        f"{num_training:,} training images as from the next {NUM_OTHERS}"
    )
    height = HEADER + len(bands) * BAND_HEIGHT + 30 + PLOT_HEIGHT + 74
    sheet = Sheet(height, f"Are samples copies of training images? {dataset}", subtitle)
    for number, band in enumerate(bands):
        _band(sheet, HEADER + number * BAND_HEIGHT, band)
    top = HEADER + len(bands) * BAND_HEIGHT + 30
    title, note = "All images", "by the distance to their nearest training image, relative to that to the next ones"
    _spread(sheet.plot(MARGIN + 48, top, WIDTH - 2 * MARGIN - 60, PLOT_HEIGHT, title=title, note=note), table)
    remark = "distance: root mean square difference between the colours of their dVAE codes, to the nearest stored view"
    sheet.text(MARGIN, sheet.height - MARGIN, remark, size=NOTE, colour=MUTED)
    return sheet.figure


def _band(sheet: Sheet, top: float, band: Band) -> None:
    sheet.text(MARGIN, top + HEADING, band.heading, size=HEADING, weight="bold")
    sheet.text(WIDTH - MARGIN, top + HEADING, band.note, size=LABEL, colour=MUTED, align="right")
    y = top + BAND_HEAD
    for name, images in ((band.name, band.images), ("nearest training image", band.nearest)):
        check_images(images, name, len(band.relative))
        lines = wrap(name, GUTTER - 12, LABEL, max_lines=3)
        middle = y + SIDE / 2 + LABEL - len(lines) * line_height(LABEL) / 2
        sheet.lines(MARGIN + GUTTER - 12, middle, lines, align="right")
        for column, image in enumerate(images):
            sheet.picture(image, _left(column), y, SIDE)
        y += SIDE + GAP
    for column, relative in enumerate(band.relative):
        weight = "bold" if relative < COPY else "normal"
        sheet.text(_left(column) + SIDE / 2, y + NOTE - 1, f"{relative:.2f}", size=NOTE, weight=weight, align="center")


def _left(column: int) -> float:
    return MARGIN + GUTTER + column * (SIDE + GAP)


def _spread(axes: Axes, table: pd.DataFrame) -> None:
    """The share of each model's images in every bin: real images filled, samples as a line."""
    edges = np.arange(0, 1 + 2 * BIN, BIN)
    highest = 0.0
    for model in ("real", "dalle"):
        values, style = table[table["model"] == model]["relative"].clip(upper=1), MODELS[model]
        shares = np.histogram(values, edges)[0] / max(1, len(values))
        options = {"fill": True, "alpha": 0.35} if model == "real" else {"linewidth": points(2)}
        axes.stairs(shares, edges, color=style.colour, **options)
        highest = max(highest, float(shares.max()))
        axes.annotate(
            f"{style.label}, {len(values):,}: {np.mean(values < COPY):.1%} copies",
            (0, 1), (points(8), points(-14 if model == "dalle" else -30)), xycoords="axes fraction", textcoords="offset points",
            size=points(LABEL), color=style.colour, bbox={"facecolor": "white", "linewidth": 0, "pad": points(1)},
        )  # fmt: skip
    axes.axvline(COPY, color=MUTED, linewidth=points(1.25), linestyle=(0, (3, 2)))
    axes.set_xlim(0, 1)
    axes.set_ylim(0, 1.1 * highest)
    axes.yaxis.set_major_formatter(PercentFormatter(1))
    axes.set_xlabel(f"relative distance (below {COPY:g}: a copy)")
