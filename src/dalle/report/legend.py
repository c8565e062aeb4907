"""Who is who among compared experiments: a colour and a marker each, and the legend that says so."""

from collections.abc import Sequence
from dataclasses import dataclass

import matplotlib
import numpy as np

from dalle.report.lettering import drawable, shorten, text_width
from dalle.report.sheet import MARGIN, Sheet
from dalle.report.style import INK, LABEL, MODELS, MUTED, SPARE, WIDTH, points

ROW_HEIGHT, SWATCH, BETWEEN = 20, 26, 18
LONGEST_NAME = (WIDTH - 2 * MARGIN) / 2
BASELINE = (MODELS["real"].colour, "s")
CATEGORIES = [(MODELS[name].colour, MODELS[name].marker) for name in ("dalle", "df_gan", "dvae", "dm_gan", "attn_gan", "clip")]
PALETTE = [*CATEGORIES, *SPARE]


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """One of the compared: `label` in the legend, `x` its number on the axis (ignored where the axis has categories)."""

    label: str
    x: float = 0.0
    is_baseline: bool = False

    @property
    def name(self) -> str:
        return shorten(drawable(self.label) + (" (baseline)" if self.is_baseline else ""), LONGEST_NAME, LABEL)


def candidate_styles(candidates: Sequence[Candidate], numeric: bool) -> list[tuple[str, str]]:
    """Colour and marker: along a numeric axis from dark to light with the value; categories stay apart, the baseline grey."""
    if numeric:
        places = np.linspace(0.02, 0.86, max(len(candidates), 2))
        colours = [matplotlib.colors.to_hex(matplotlib.colormaps["viridis"](place)) for place in places]
        return [(colour, "o") for colour in colours[: len(candidates)]]
    turns = iter(range(len(candidates)))
    return [BASELINE if candidate.is_baseline else _in_turn(next(turns)) for candidate in candidates]


def _in_turn(index: int) -> tuple[str, str]:
    """The colours come round again, then with other markers."""
    cycle, size = index // len(PALETTE), len(PALETTE)
    return PALETTE[index % size][0], PALETTE[(index + cycle) % size][1]


def marker_options(colour: str, marker: str) -> dict:
    return {
        "color": colour, "marker": marker, "linestyle": "", "markersize": points(8), "markeredgewidth": 0, "zorder": 3,
        "clip_on": False,
    }  # fmt: skip


RING = {
    "marker": "o", "linestyle": "", "markersize": points(13), "markerfacecolor": "none", "markeredgecolor": INK,
    "markeredgewidth": points(1.25), "zorder": 3.2, "clip_on": False,
}  # fmt: skip


def legend_rows(candidates: Sequence[Candidate], axis: str) -> list[list[tuple[int, float]]]:
    """Rows of candidates (by index) with their x, right of the name of the axis, broken where the sheet ends."""
    left = text_width(axis, LABEL) + 14 if axis else 0
    rows, x = [[]], left
    for index, candidate in enumerate(candidates):
        needed = SWATCH + text_width(candidate.name, LABEL)
        if x + needed > WIDTH - 2 * MARGIN and rows[-1]:
            rows.append([])
            x = left
        rows[-1].append((index, x))
        x += needed + BETWEEN
    return rows


def draw_legend(sheet: Sheet, candidates: Sequence[Candidate], numeric: bool, axis: str, top: float) -> None:
    styles = candidate_styles(candidates, numeric)
    sheet.text(MARGIN, top, axis, colour=MUTED)
    for number, row in enumerate(legend_rows(candidates, axis)):
        y = top + number * ROW_HEIGHT
        for index, left in row:
            x, (colour, marker), candidate = MARGIN + left, styles[index], candidates[index]
            sheet.canvas.plot([x, x + 18], [y - 4, y - 4], color=colour, linewidth=points(3 if candidate.is_baseline else 2))
            sheet.canvas.plot(x + 9, y - 4, **marker_options(colour, marker))
            if candidate.is_baseline:
                sheet.canvas.plot(x + 9, y - 4, **RING)
            sheet.text(x + SWATCH, y, candidate.name)
