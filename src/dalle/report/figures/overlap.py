"""Evaluation images beside their nearest training images, around the threshold that says which were seen (PAPER 3.2)."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from dalle.report.frames import require_columns
from dalle.report.lettering import line_height, wrap
from dalle.report.sheet import HEADER, MARGIN, Sheet, check_images
from dalle.report.style import FAINT, HEADING, INK, LABEL, MUTED, NOTE, WIDTH, points, styled

COLUMNS, GUTTER, GAP = 8, 90, 6
SIDE = (WIDTH - 2 * MARGIN - GUTTER - GAP * (COLUMNS - 1)) // COLUMNS
BAND_HEAD, BAND_GAP = 26, 16
BAND_HEIGHT = BAND_HEAD + 2 * (SIDE + GAP) + line_height(NOTE) + BAND_GAP
LINE_HEIGHT = 38  # of the threshold, with what stands on it
PLOT_HEIGHT, BINS = 150, 60
SEEN = "#a0475d"


@dataclass(frozen=True, kw_only=True)
class OverlapBand:
    """At most eight images, uint8 (N, H, W, 3), over the training image nearest to each, closest first.

    Where the training image is `mirrored`, `nearest` shows it turned round. `planted` says which of them the miniature world
    put on the web; empty: nobody knows.
    """

    heading: str
    images: np.ndarray
    nearest: np.ndarray
    similarity: Sequence[float]
    mirrored: Sequence[bool]
    planted: Sequence[bool]


@styled
def overlap(
    above: Sequence[OverlapBand], below: Sequence[OverlapBand], table: pd.DataFrame, *, threshold: float, num_training: int,
    dataset: str,
) -> Figure:
    """Bands from both sides of the threshold, and how the similarities of all images are spread.

    `table` has `similarity`, and `planted` where it is known, a row an image; `num_training` images were searched.
    """
    require_columns(table, ("similarity",), "nearest training images")
    seen = table["similarity"] >= threshold
    subtitle = (
        f"{seen.sum():,} of {len(table):,} evaluation images ({seen.mean():.1%}) have a training image at least {threshold:g} "
        f"near, of {num_training:,}"
    )
    bands = [*above, *below]
    top = HEADER + len(bands) * BAND_HEIGHT + LINE_HEIGHT
    sheet = Sheet(top + 34 + PLOT_HEIGHT + 74, f"Which evaluation images were seen in training? {dataset}", subtitle)
    y = HEADER
    for band in above:
        y = _band(sheet, y, band)
    y = _threshold(sheet, y, threshold)
    for band in below:
        y = _band(sheet, y, band)
    note = "by the similarity to their nearest training image"
    axes = sheet.plot(MARGIN + 48, top + 34, WIDTH - 2 * MARGIN - 60, PLOT_HEIGHT, title="All images", note=note)
    _spread(axes, table, threshold)
    remark = "similarity: cosine between embeddings of a network trained to know altered copies, mirrored ones included"
    if "planted" in table.columns:
        remark += " · ● a copy was planted among the training images"
    sheet.text(MARGIN, sheet.height - MARGIN, remark, size=NOTE, colour=MUTED)
    return sheet.figure


def _band(sheet: Sheet, top: float, band: OverlapBand) -> float:
    """Draw a band; returns where the next begins."""
    sheet.text(MARGIN, top + HEADING, band.heading, size=HEADING, weight="bold")
    y = top + BAND_HEAD
    for name, images in (("evaluation image", band.images), ("nearest training image", band.nearest)):
        check_images(images, name, len(band.similarity))
        lines = wrap(name, GUTTER - 12, LABEL, max_lines=3)
        middle = y + SIDE / 2 + LABEL - len(lines) * line_height(LABEL) / 2
        sheet.lines(MARGIN + GUTTER - 12, middle, lines, align="right")
        for column, image in enumerate(images):
            sheet.picture(image, _left(column), y, SIDE)
        y += SIDE + GAP
    for column, similarity in enumerate(band.similarity):
        words = f"{similarity:.3f}" + (" mirrored" if band.mirrored[column] else "")
        colour = INK
        if len(band.planted) and band.planted[column]:
            words, colour = f"● {words}", SEEN
        sheet.text(_left(column) + SIDE / 2, y + NOTE - 1, words, size=NOTE, colour=colour, align="center")
    return top + BAND_HEIGHT


def _threshold(sheet: Sheet, top: float, threshold: float) -> float:
    """A line across the sheet between what counts as seen and what does not."""
    y, right = top + LINE_HEIGHT / 2 - 8, WIDTH - MARGIN
    sheet.rule(MARGIN, y, WIDTH - 2 * MARGIN, SEEN, 1.5)
    sheet.text(MARGIN, y - 5, f"threshold {threshold:g}", colour=SEEN, weight="bold")
    sheet.text(right, y - 5, "↑ seen in training, left out for the dashed lines", size=NOTE, colour=SEEN, align="right")
    sheet.text(right, y + 14, "↓ kept", size=NOTE, colour=MUTED, align="right")
    return top + LINE_HEIGHT


def _left(column: int) -> float:
    return MARGIN + GUTTER + column * (SIDE + GAP)


def _spread(axes: Axes, table: pd.DataFrame, threshold: float) -> None:
    """How many images are how near: those that were planted apart from the others, where it is known."""
    lowest = min(float(table["similarity"].min()), threshold) - 0.01
    edges = np.linspace(np.floor(lowest * 20) / 20, 1, BINS + 1)
    if "planted" in table.columns:
        planted = table["planted"].astype(bool)
        groups = [("not planted", table[~planted], FAINT), ("planted", table[planted], SEEN)]
    else:
        groups = [("evaluation images", table, FAINT)]
    for number, (name, rows, colour) in enumerate(groups):
        counts = np.histogram(rows["similarity"].clip(upper=1), edges)[0]
        axes.stairs(counts, edges, color=colour, fill=True, alpha=0.55)
        at_least = int((rows["similarity"] >= threshold).sum())
        axes.annotate(
            f"{name}: {len(rows):,}, {at_least:,} of them above the threshold",
            (0, 1), (points(8), points(-14 - 16 * number)), xycoords="axes fraction", textcoords="offset points",
            size=points(LABEL), color=MUTED if colour == FAINT else colour,
            bbox={"facecolor": "white", "linewidth": 0, "pad": points(1)},
        )  # fmt: skip
    axes.axvline(threshold, color=SEEN, linewidth=points(1.25), linestyle=(0, (3, 2)))
    axes.set_xlim(edges[0], 1)
    axes.set_ylim(bottom=0)
    axes.set_xlabel("similarity to the nearest training image (cosine)")
