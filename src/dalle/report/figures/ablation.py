"""Experiments beside each other: final metrics against what was varied, and their curves overlaid."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator, NullLocator, PercentFormatter

from dalle.report.legend import RING, ROW_HEIGHT, Candidate, candidate_styles, draw_legend, legend_rows, marker_options
from dalle.report.lettering import drawable, line_height, shorten, text_width, wrap
from dalle.report.sheet import HEADER, MARGIN, Sheet
from dalle.report.style import HEADING, LABEL, MUTED, NOTE, SUBTITLE, TITLE, WIDTH, points, styled

MAX_PANELS = 6
LEFT, RIGHT, PLOT_HEIGHT, PITCH, WIDEST = 50, 16, 176, 262, 400
LINE = "#b6bdc6"
MANY = 60  # points of a curve from which on its markers would only thicken it
MAX_TICKS = 8
LOGARITHMIC = 16  # largest over smallest value from which on a positive axis is logarithmic


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


@dataclass(frozen=True, kw_only=True)
class _Scene:
    """What all panels share."""

    candidates: Sequence[Candidate]
    styles: Sequence[tuple[str, str]]
    axis: str
    numeric: bool


@styled
def ablation(
    candidates: Sequence[Candidate], panels: Sequence[Panel], *, axis: str, numeric: bool, title: str, lines: Sequence[str],
    remarks: Sequence[str],
) -> Figure:  # fmt: skip
    """At most MAX_PANELS panels under one legend.

    `axis` names what was varied, `lines` under the title say over what the numbers are, `remarks` at the foot what to mind.
    """
    if not 1 <= len(panels) <= MAX_PANELS:
        raise ValueError(f"an ablation figure has 1 to {MAX_PANELS} panels, got {len(panels)}")
    width = WIDTH - 2 * MARGIN
    first, *more = [part for line in lines for part in wrap(line, width, SUBTITLE, max_lines=2)]
    notes = [part for remark in remarks for part in wrap(remark, width, NOTE, max_lines=3)]
    columns = len(panels) if len(panels) < 4 else 2 if len(panels) == 4 else 3
    legend_top = HEADER + len(more) * line_height(SUBTITLE) + 8
    top = legend_top + len(legend_rows(candidates, axis)) * ROW_HEIGHT + 30
    bottom = top + -(-len(panels) // columns) * PITCH - 26
    sheet = Sheet(bottom + len(notes) * line_height(NOTE) + MARGIN, shorten(title, width, TITLE, weight="bold"), first)
    sheet.lines(MARGIN, MARGIN + 29 + line_height(SUBTITLE), more, size=SUBTITLE, colour=MUTED, vertical="top")
    draw_legend(sheet, candidates, numeric, axis, legend_top)
    scene = _Scene(candidates=candidates, styles=candidate_styles(candidates, numeric), axis=axis, numeric=numeric)
    for index, panel in enumerate(panels):
        pitch = width / columns
        _draw_panel(sheet, panel, scene, MARGIN + index % columns * pitch, top + index // columns * PITCH, pitch)
    sheet.lines(MARGIN, bottom + line_height(NOTE), notes, size=NOTE, colour=MUTED)
    return sheet.figure


def _draw_panel(sheet: Sheet, panel: Panel, scene: _Scene, x: float, y: float, pitch: float) -> None:
    plot_width = min(pitch - LEFT - RIGHT, WIDEST)
    title = shorten(panel.title, pitch - LEFT - 8, HEADING, weight="bold")
    room = pitch - LEFT - 10 - text_width(title, HEADING, "bold")
    note = next((note for note in panel.notes if text_width(note, LABEL) < room), "")
    axes = sheet.plot(x + LEFT, y, plot_width, PLOT_HEIGHT, title=title, note=note)
    if panel.traces:
        _draw_traces(axes, panel, scene)
    else:
        _draw_marks(axes, panel, scene, plot_width)
    _value_axis(axes, panel)


def _draw_marks(axes: Axes, panel: Panel, scene: _Scene, width: float) -> None:
    candidates = scene.candidates
    marks = sorted(panel.marks, key=lambda mark: candidates[mark.candidate].x)
    places = [candidates[mark.candidate].x if scene.numeric else mark.candidate for mark in marks]
    if scene.numeric and len(set(places)) == len(marks):  # several at one place have no order to be joined in
        axes.plot(places, [mark.value for mark in marks], color=LINE, linewidth=points(1.5))
    for mark, x in zip(marks, places, strict=True):
        colour, marker = scene.styles[mark.candidate]
        if np.isfinite(mark.low) and np.isfinite(mark.high):
            axes.plot([x, x], [mark.low, mark.high], color=colour, linewidth=points(1.5), zorder=2.6)
        axes.plot(x, mark.value, **marker_options(colour, marker))
        if candidates[mark.candidate].is_baseline:
            axes.plot(x, mark.value, **RING)
    axes.margins(y=0.14)
    axes.set_xlabel(shorten(scene.axis, width + LEFT, LABEL))
    if scene.numeric:
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
    """Ticks at the values themselves, as many as fit; logarithmic where the largest is many times the smallest."""
    values = np.array(sorted(set(values)))
    logarithmic = values[0] > 0 and values[-1] / values[0] >= LOGARITHMIC
    places = np.log(values) if logarithmic else values
    span = (places[-1] - places[0]) or 1.0
    ends = np.array([places[0] - 0.06 * span, places[-1] + 0.06 * span])
    axes.set_xscale("log" if logarithmic else "linear")
    axes.set_xlim(np.exp(ends) if logarithmic else ends)
    ticks, taken = [], -np.inf
    for value, place in zip(values, places, strict=True):
        centre, half = (place - places[0]) / span * width * 0.9, text_width(f"{value:g}", LABEL) / 2
        if centre - half > taken + 5:
            ticks.append(value)
            taken = centre + half
    _ticks_at(axes, ticks)


def _ticks_at(axes: Axes, values: Sequence[float]) -> None:
    axes.xaxis.set_major_locator(FixedLocator(values))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))


def _category_axis(axes: Axes, names: Sequence[str], width: float) -> None:
    """The names on up to two lines each; where one does not fit, none: the legend has them in this order."""
    room = width / len(names) - 6
    fit = all(text_width(word, LABEL) <= room for name in names for word in name.split(" "))
    shown = ["\n".join(wrap(name, room, LABEL, max_lines=2)) for name in names]
    if not fit or any(name.endswith("…") for name in shown):
        shown = [""] * len(names)
        axes.set_xlabel("in the order of the legend")
    axes.set_xticks(range(len(names)), shown)
    axes.set_xlim(-0.5, len(names) - 0.5)


def _draw_traces(axes: Axes, panel: Panel, scene: _Scene) -> None:
    for trace in sorted(panel.traces, key=lambda trace: scene.candidates[trace.candidate].is_baseline):
        colour, marker = scene.styles[trace.candidate]
        axes.plot(
            trace.x, trace.y, color=colour, linewidth=points(3 if scene.candidates[trace.candidate].is_baseline else 2),
            marker=marker if len(trace.x) <= MANY else None, markersize=points(5), markeredgecolor="white",
            markeredgewidth=points(0.8), zorder=2.5,
        )  # fmt: skip
    axes.set_xlabel(panel.x_label)
    axes.margins(x=0.04, y=0.1)
    if panel.doubling:
        axes.set_xscale("log", base=2)
        numbers = sorted({x for trace in panel.traces for x in trace.x})
        _ticks_at(axes, numbers[:: -max(1, -(-len(numbers) // MAX_TICKS))])  # from the last one back
    else:
        axes.xaxis.set_major_locator(MaxNLocator(4, integer=True))
        axes.xaxis.set_major_formatter(FuncFormatter(lambda step, _: f"{step:,.0f}"))
