"""Experiments beside each other: final metrics against what was varied, and their curves overlaid."""

from collections.abc import Sequence
from dataclasses import dataclass

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator, NullLocator, PercentFormatter

from dalle.report.lettering import drawable, line_height, shorten, text_width, wrap
from dalle.report.sheet import HEADER, MARGIN, Sheet
from dalle.report.style import HEADING, INK, LABEL, MODELS, MUTED, NOTE, SPARE, SUBTITLE, WIDTH, points, styled

MAX_PANELS = 6
LEFT, RIGHT, PLOT_HEIGHT, PITCH = 50, 16, 176, 262
LEGEND_PITCH, SWATCH = 20, 26
LINE = "#b6bdc6"
MANY = 60  # points of a curve from which on its markers would only thicken it
LOGARITHMIC = 16  # largest over smallest value from which on a positive axis is logarithmic
BASELINE_COLOUR = MODELS["real"].colour
CATEGORIES = [(MODELS[name].colour, MODELS[name].marker) for name in ("dalle", "df_gan", "dvae", "dm_gan", "attn_gan", "clip")]


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """One of the compared: `label` in the legend, `x` its number on the axis (ignored where the axis has categories)."""

    label: str
    x: float = 0.0
    is_baseline: bool = False


@dataclass(frozen=True, kw_only=True)
class Mark:
    """The value of one candidate (by its index); low and high may be nan."""

    candidate: int
    value: float
    low: float = np.nan
    high: float = np.nan


@dataclass(frozen=True, kw_only=True)
class Trace:
    """The curve of one candidate (by its index)."""

    candidate: int
    x: Sequence[float]
    y: Sequence[float]


@dataclass(frozen=True, kw_only=True)
class Panel:
    """Marks over the varied parameter or, where there are `traces`, curves over `x_label`; of `notes` the first that fits."""

    title: str
    notes: Sequence[str]
    marks: Sequence[Mark] = ()
    traces: Sequence[Trace] = ()
    x_label: str = ""
    is_share: bool = False
    least_span: float = 0.0  # of the vertical axis
    doubling: bool = False  # the curves' axis is logarithmic with base 2


@styled
def ablation(
    candidates: Sequence[Candidate], panels: Sequence[Panel], *, axis: str, numeric: bool, title: str, lines: Sequence[str],
    remarks: Sequence[str],
) -> Figure:
    """At most MAX_PANELS panels under one legend; `axis` is what was varied, `lines` say over what, `remarks` what to mind."""  # fmt: skip
    if not 1 <= len(panels) <= MAX_PANELS:
        raise ValueError(f"an ablation figure has 1 to {MAX_PANELS} panels, got {len(panels)}")
    columns = len(panels) if len(panels) < 4 else 2 if len(panels) == 4 else 3
    styles = _styles(candidates, numeric)
    width = WIDTH - 2 * MARGIN
    first, *more = [part for line in lines for part in wrap(line, width, SUBTITLE, max_lines=2)]
    legend = _legend_rows(candidates, axis, width)
    notes = [part for remark in remarks for part in wrap(remark, width, NOTE, max_lines=3)]
    top = HEADER + len(more) * line_height(SUBTITLE) + len(legend) * LEGEND_PITCH + 38
    bottom = top + -(-len(panels) // columns) * PITCH - 26
    sheet = Sheet(bottom + len(notes) * line_height(NOTE) + MARGIN, shorten(title, width, 15, weight="bold"), first)
    sheet.lines(MARGIN, MARGIN + 29 + line_height(SUBTITLE), more, size=SUBTITLE, colour=MUTED, vertical="top")
    _draw_legend(sheet, candidates, styles, legend, axis, HEADER + len(more) * line_height(SUBTITLE) + 8)
    pitch = width / columns
    for index, panel in enumerate(panels):
        plot_width = min(pitch - LEFT - RIGHT, 400)
        x, y = MARGIN + index % columns * pitch + LEFT, top + index // columns * PITCH
        heading = shorten(panel.title, pitch - LEFT - 8, HEADING, weight="bold")
        room = pitch - LEFT - 10 - text_width(heading, HEADING, "bold")
        note = next((note for note in panel.notes if text_width(note, LABEL) < room), "")
        axes = sheet.plot(x, y, plot_width, PLOT_HEIGHT, title=heading, note=note)
        if panel.traces:
            _draw_traces(axes, panel, candidates, styles)
        else:
            _draw_marks(axes, panel, candidates, styles, axis, numeric, plot_width)
        _value_axis(axes, panel)
    sheet.lines(MARGIN, bottom + line_height(NOTE), notes, size=NOTE, colour=MUTED)
    return sheet.figure


Styles = list[tuple[str, str]]  # colour and marker of each candidate


def _styles(candidates: Sequence[Candidate], numeric: bool) -> Styles:
    """Along a numeric axis colours go from dark to light with the value; categories get the colours that stay apart."""
    if numeric:
        places = np.linspace(0.02, 0.86, max(len(candidates), 2))
        colours = [matplotlib.colors.to_hex(matplotlib.colormaps["viridis"](place)) for place in places]
        return [(colour, "o") for colour in colours[: len(candidates)]]
    palette, styles = [*CATEGORIES, *SPARE], []
    for candidate in candidates:
        others = len([style for style in styles if style[0] != BASELINE_COLOUR])
        styles.append((BASELINE_COLOUR, "s") if candidate.is_baseline else palette[others % len(palette)])
    return styles


def _name(candidate: Candidate) -> str:
    return drawable(candidate.label) + (" (baseline)" if candidate.is_baseline else "")


def _legend_rows(candidates: Sequence[Candidate], axis: str, width: float) -> list[list[tuple[int, float]]]:
    """Rows of candidates (by index) with their x, broken where the sheet ends."""
    left = text_width(axis, LABEL) + 14 if axis else 0
    rows, x = [[]], left
    for index, candidate in enumerate(candidates):
        needed = SWATCH + text_width(shorten(_name(candidate), width / 2, LABEL), LABEL)
        if x + needed > width and rows[-1]:
            rows.append([])
            x = left
        rows[-1].append((index, x))
        x += needed + 18
    return rows


def _draw_legend(
    sheet: Sheet, candidates: Sequence[Candidate], styles: Styles, rows: list[list[tuple[int, float]]], axis: str, top: float
) -> None:
    sheet.text(MARGIN, top, axis, colour=MUTED)
    for number, row in enumerate(rows):
        y = top + number * LEGEND_PITCH
        for index, left in row:
            x, (colour, marker), candidate = MARGIN + left, styles[index], candidates[index]
            sheet.canvas.plot([x, x + 18], [y - 4, y - 4], color=colour, linewidth=points(3 if candidate.is_baseline else 2))
            sheet.canvas.plot(x + 9, y - 4, **_marker(colour, marker))
            if candidate.is_baseline:
                sheet.canvas.plot(x + 9, y - 4, **RING)
            name = shorten(_name(candidate), (WIDTH - 2 * MARGIN) / 2, LABEL)
            sheet.text(x + SWATCH, y, name, weight="normal", colour=INK)


def _marker(colour: str, marker: str) -> dict:
    return {
        "color": colour, "marker": marker, "linestyle": "", "markersize": points(8), "markeredgewidth": 0, "zorder": 3,
        "clip_on": False,
    }  # fmt: skip


RING = {
    "marker": "o", "linestyle": "", "markersize": points(13), "markerfacecolor": "none", "markeredgecolor": INK,
    "markeredgewidth": points(1.25), "zorder": 3.2, "clip_on": False,
}  # fmt: skip


def _draw_marks(
    axes: Axes, panel: Panel, candidates: Sequence[Candidate], styles: Styles, axis: str, numeric: bool, width: float
) -> None:
    marks = sorted(panel.marks, key=lambda mark: candidates[mark.candidate].x)
    place = {mark.candidate: candidates[mark.candidate].x if numeric else mark.candidate for mark in marks}
    if numeric and len(set(place.values())) == len(marks):  # several at one place have no order to be joined in
        axes.plot([place[mark.candidate] for mark in marks], [mark.value for mark in marks], color=LINE, linewidth=points(1.5))
    for mark in marks:
        x, (colour, marker) = place[mark.candidate], styles[mark.candidate]
        if np.isfinite(mark.low) and np.isfinite(mark.high):
            axes.plot([x, x], [mark.low, mark.high], color=colour, linewidth=points(1.5), zorder=2.6)
        axes.plot(x, mark.value, **_marker(colour, marker))
        if candidates[mark.candidate].is_baseline:
            axes.plot(x, mark.value, **RING)
    axes.margins(y=0.14)
    axes.set_xlabel(shorten(axis, width + LEFT, LABEL))
    if numeric:
        _numeric_axis(axes, [candidate.x for candidate in candidates], width)
    else:
        _category_axis(axes, [drawable(candidate.label) for candidate in candidates], width)


def _value_axis(axes: Axes, panel: Panel) -> None:
    low, high = axes.get_ylim()
    missing = max(0.0, panel.least_span - (high - low))
    axes.set_ylim(low - missing / 2, high + missing / 2)
    axes.yaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 2.5, 5, 10]))
    if panel.is_share:
        axes.yaxis.set_major_formatter(PercentFormatter(1, decimals=0 if high - low > 0.05 else 1))


def _numeric_axis(axes: Axes, values: Sequence[float], width: float) -> None:
    """Ticks at the values themselves, as many as fit; logarithmic where they span more than a decade or so."""
    low, high = min(values), max(values)
    logarithmic = low > 0 and high / low >= LOGARITHMIC
    if logarithmic:
        axes.set_xscale("log")
    scale = np.log if logarithmic else np.asarray
    span = float(scale(high) - scale(low)) or 1.0
    pad = 0.06 * span
    axes.set_xlim(*(np.exp([np.log(low) - pad, np.log(high) + pad]) if logarithmic else (low - pad, high + pad)))
    ticks, ends = [], -np.inf
    for value in sorted(set(values)):
        centre = float(scale(value) - scale(low)) / span * width * 0.9
        half = text_width(f"{value:g}", LABEL) / 2
        if centre - half > ends + 5:
            ticks.append(value)
            ends = centre + half
    axes.xaxis.set_major_locator(FixedLocator(ticks))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))


def _category_axis(axes: Axes, names: Sequence[str], width: float) -> None:
    """A name under each category on up to two lines; where one does not fit, none: the legend has them in this order."""
    room = width / len(names) - 6
    lines = [wrap(name, room, LABEL, max_lines=2) for name in names]
    fits = all(not line.endswith("…") and text_width(line, LABEL) <= room for parts in lines for line in parts)
    whole = all("".join(parts).replace(" ", "") == name.replace(" ", "") for parts, name in zip(lines, names, strict=True))
    unbroken = all(len(parts) <= len(name.split(" ")) for parts, name in zip(lines, names, strict=True))
    shown = ["\n".join(parts) for parts in lines] if fits and whole and unbroken else [""] * len(names)
    axes.set_xticks(range(len(names)), shown)
    axes.set_xlim(-0.5, len(names) - 0.5)
    if not any(shown):
        axes.set_xlabel("in the order of the legend")


def _draw_traces(axes: Axes, panel: Panel, candidates: Sequence[Candidate], styles: Styles) -> None:
    for trace in sorted(panel.traces, key=lambda trace: candidates[trace.candidate].is_baseline):
        colour, marker = styles[trace.candidate]
        few = len(trace.x) <= MANY
        axes.plot(
            trace.x, trace.y, color=colour, linewidth=points(3 if candidates[trace.candidate].is_baseline else 2),
            marker=marker if few else None, markersize=points(5), markeredgecolor="white", markeredgewidth=points(0.8), zorder=2.5,
        )  # fmt: skip
    axes.set_xlabel(panel.x_label)
    axes.margins(x=0.04, y=0.1)
    if panel.doubling:
        axes.set_xscale("log", base=2)
        axes.xaxis.set_major_locator(FixedLocator(_sparse(sorted({x for trace in panel.traces for x in trace.x}))))
        axes.xaxis.set_minor_locator(NullLocator())
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    else:
        axes.xaxis.set_major_locator(MaxNLocator(4, integer=True))
        axes.xaxis.set_major_formatter(FuncFormatter(lambda step, _: f"{step:,.0f}"))


def _sparse(values: list[float]) -> list[float]:
    """Every second, third, ... value, so that at most eight are left; always the last."""
    return values[:: -(-len(values) // 8) * -1][::-1]
