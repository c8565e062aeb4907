"""One change at a time: a column for each group of changes, a row for each metric, one vertical axis a row."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedFormatter, FixedLocator, MaxNLocator, NullFormatter, NullLocator, PercentFormatter

from dalle.report.lettering import drawable, line_height, shorten, text_width, wrap
from dalle.report.sheet import HEADER, MARGIN, Sheet
from dalle.report.style import FAINT, HEADING, INK, LABEL, MODELS, MUTED, NOTE, SUBTITLE, TITLE, WIDTH, points, styled, tint

LEFT, GAP = 52, 16  # what the numbers of the vertical axis take; between columns
PLOT_HEIGHT, ROW_PITCH = 112, 158
ARM, STOPPED = MODELS["dalle"].colour, MODELS["df_gan"].colour
SLANT, LONGEST, LONGEST_AT_THE_EDGE = 38.0, 160, 88  # of names that do not fit level: degrees; width, in the first column
LOGARITHMIC = 8  # largest over smallest positive value from which on an axis is logarithmic
PADDING = 0.11  # of the horizontal axis, left and right of what is drawn
AGAINST_THE_AXIS = 0.06  # where the mark of a stopped arm stands

SCALE = "Where the largest value is many times the smallest the axis is logarithmic, with a zero one step before."


@dataclass(frozen=True, kw_only=True)
class Tick:
    """One arm of a column; `x` is its number where the axis is numeric; `stopped` says in a word why it has no values."""

    label: str
    x: float | None = None
    is_base: bool = False
    stopped: str = ""


@dataclass(frozen=True, kw_only=True)
class Column:
    title: str
    axis: str  # what was varied, empty where the arms have names
    ticks: Sequence[Tick]

    @property
    def is_numeric(self) -> bool:
        return all(tick.x is not None for tick in self.ticks)


@dataclass(frozen=True, kw_only=True)
class Row:
    """A metric: `values` for every tick of every column, None where there is none; `base` is drawn through all of them."""

    title: str
    note: str
    values: Sequence[Sequence[float | None]]
    base: float | None
    spread: float = 0.0  # between seeds
    is_share: bool = False
    least_span: float = 0.0


@styled
def ablation_grid(
    columns: Sequence[Column], rows: Sequence[Row], *, title: str, lines: Sequence[str], remarks: Sequence[str]
) -> Figure:
    """`lines` under the title say over what the numbers are, `remarks` at the foot what to mind."""
    if not columns or not rows:
        raise ValueError("an ablation's figure needs a group and a metric")
    width = WIDTH - 2 * MARGIN
    first, *more = [part for line in lines for part in wrap(line, width, SUBTITLE, max_lines=2)]
    pitch = (width - LEFT + GAP) / len(columns)
    plot_width = pitch - GAP
    heads = [_head(column, plot_width) for column in columns]
    remarks = [*remarks, *([SCALE] if any(_is_logarithmic(column) for column in columns) else [])]
    head_top = HEADER + len(more) * line_height(SUBTITLE) + 14
    top = head_top + max(len(titles) * line_height(HEADING) + 18 for titles, _ in heads) + 22
    labels = max(_label_height(column, plot_width, _longest(index)) for index, column in enumerate(columns))
    foot = top + (len(rows) - 1) * ROW_PITCH + PLOT_HEIGHT + labels
    notes = [part for remark in remarks for part in wrap(remark, width, NOTE, max_lines=3)]
    height = foot + 30 + len(notes) * line_height(NOTE) + MARGIN
    sheet = Sheet(height, shorten(title, width, TITLE, weight="bold"), first)
    sheet.lines(MARGIN, MARGIN + 29 + line_height(SUBTITLE), more, size=SUBTITLE, colour=MUTED, vertical="top")
    for index, (titles, axis) in enumerate(heads):
        x = MARGIN + LEFT + index * pitch
        below = sheet.lines(x, head_top, titles, size=HEADING, weight="bold")
        sheet.text(x, below, axis, colour=MUTED)
    for number, row in enumerate(rows):
        y = top + number * ROW_PITCH
        _draw_row(sheet, row, columns, y, pitch, plot_width, is_last=number == len(rows) - 1)
    _draw_key(sheet, foot + 14, rows, columns)
    sheet.lines(MARGIN, foot + 16 + line_height(NOTE) + 6, notes, size=NOTE, colour=MUTED)
    return sheet.figure


def places(column: Column) -> list[float]:
    """Where the ticks stand between 0 and 1: true to scale, by their logarithms where they span much, else side by side.

    A zero before logarithms stands one mean step before the smallest positive number.
    """
    if not column.is_numeric or len({tick.x for tick in column.ticks}) == 1:
        number = len(column.ticks)
        return [0.5] if number == 1 else [index / (number - 1) for index in range(number)]
    values = np.array([tick.x for tick in column.ticks], dtype=float)
    if _is_logarithmic(column):
        positive = np.unique(values[values > 0])
        step = np.log(positive[-1] / positive[0]) / (len(positive) - 1)
        values = np.log(np.where(values > 0, values, positive[0] * np.exp(-step)))
    return list((values - values.min()) / (values.max() - values.min()))


def _is_logarithmic(column: Column) -> bool:
    values = [tick.x for tick in column.ticks] if column.is_numeric else []
    positive = [value for value in values if value > 0]
    return len(set(positive)) > 1 and min(values) >= 0 and max(positive) / min(positive) >= LOGARITHMIC


def _head(column: Column, width: float) -> tuple[list[str], str]:
    return wrap(column.title, width, HEADING, max_lines=3, weight="bold"), shorten(drawable(column.axis), width, LABEL)


def _draw_row(
    sheet: Sheet, row: Row, columns: Sequence[Column], y: float, pitch: float, width: float, *, is_last: bool
) -> None:
    sheet.text(MARGIN, y - 12, row.title, size=HEADING, weight="bold")
    sheet.text(MARGIN + text_width(row.title, HEADING, "bold") + 7, y - 12, row.note, colour=MUTED)
    low, high = _limits(row)
    for index, (column, values) in enumerate(zip(columns, row.values, strict=True)):
        axes = sheet.plot(MARGIN + LEFT + index * pitch, y, width, PLOT_HEIGHT)
        axes.set(xlim=(-PADDING, 1 + PADDING), ylim=(low, high))
        _draw_reference(axes, row)
        _draw_values(axes, column, values)
        axes.yaxis.set_major_locator(MaxNLocator(4, steps=[1, 2, 2.5, 5, 10]))
        if row.is_share:
            axes.yaxis.set_major_formatter(PercentFormatter(1, decimals=0 if high - low > 0.05 else 1))
        if index:
            axes.yaxis.set_major_formatter(NullFormatter())
        _label(axes, column, width, _longest(index), is_last=is_last)


def _limits(row: Row) -> tuple[float, float]:
    values = [value for column in row.values for value in column if value is not None]
    if row.base is not None:
        values += [row.base - row.spread, row.base + row.spread]
    if not values:
        return 0.0, 1.0
    low, high = min(values), max(values)
    missing = max(0.0, row.least_span - (high - low)) / 2 or 0.5 * (high == low)
    span = high - low + 2 * missing
    return low - missing - 0.12 * span, high + missing + 0.12 * span


def _draw_reference(axes: Axes, row: Row) -> None:
    if row.base is None:
        return
    if row.spread:
        axes.axhspan(row.base - row.spread, row.base + row.spread, color=tint(INK, 0.07), linewidth=0, zorder=0.5)
    axes.axhline(row.base, color=FAINT, linewidth=points(1), linestyle=(0, (4, 3)), zorder=1.5)


def _draw_values(axes: Axes, column: Column, values: Sequence[float | None]) -> None:
    """Points; joined along a numeric axis, except over an arm without a value."""
    spots = places(column)
    if column.is_numeric:
        order = np.argsort(spots, kind="stable")
        line = [np.nan if values[index] is None else values[index] for index in order]
        axes.plot([spots[index] for index in order], line, color=tint(ARM, 0.45), linewidth=points(1.75), zorder=2)
    for spot, tick, value in zip(spots, column.ticks, values, strict=True):
        if value is not None:
            _draw_point(axes, spot, value, is_base=tick.is_base)
        elif tick.stopped:
            _draw_stopped(axes, spot, tick.stopped)


def _draw_point(axes: Axes, x: float, y: float, *, is_base: bool) -> None:
    shape = {"marker": "D", "markersize": points(9), "color": INK} if is_base else {"marker": "o", "markersize": points(8.5)}
    axes.plot(x, y, **{"color": ARM, "markeredgecolor": "white", "markeredgewidth": points(1), "zorder": 3, **shape})


def _draw_stopped(axes: Axes, x: float, word: str) -> None:
    mark = {"transform": axes.get_xaxis_transform(), "clip_on": False, "zorder": 3}
    axes.plot(
        x, AGAINST_THE_AXIS, marker="X", markersize=points(9), color=STOPPED, markeredgecolor="white",
        markeredgewidth=points(0.8), **mark,
    )  # fmt: skip
    axes.text(
        x, AGAINST_THE_AXIS + 0.11, word, size=points(NOTE), color=STOPPED, rotation=90, ha="center", va="bottom",
        bbox={"facecolor": "white", "linewidth": 0, "pad": points(1)}, **mark,
    )  # fmt: skip


def _label(axes: Axes, column: Column, width: float, longest: float, *, is_last: bool) -> None:
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_locator(FixedLocator(places(column)))
    if not is_last:
        axes.xaxis.set_major_formatter(NullFormatter())
        return
    names = [drawable(tick.label) for tick in column.ticks]
    if _is_level(column, width):
        shown = names if not column.is_numeric else _not_touching(column, names, width)
        axes.xaxis.set_major_formatter(FixedFormatter(shown))
        return
    axes.xaxis.set_major_formatter(FixedFormatter([shorten(name, longest, LABEL) for name in names]))
    for text in axes.get_xticklabels():
        text.set(rotation=SLANT, ha="right", va="top", rotation_mode="anchor")


def _is_level(column: Column, width: float) -> bool:
    """Whether the names fit beside each other, within the column; numbers always do, though dense ones not all of them."""
    spot = sorted(places(column))
    unit = width / (1 + 2 * PADDING)
    room = min(min(np.diff(spot), default=1.0) * unit - 6, 2 * PADDING * unit + GAP)  # the outer ones reach into the gaps
    return column.is_numeric or all(text_width(drawable(tick.label), LABEL) <= room for tick in column.ticks)


def _not_touching(column: Column, names: Sequence[str], width: float) -> list[str]:
    """The names that have room: the base and the ends first, then in order."""
    spots = [place * width / (1 + 2 * PADDING) for place in places(column)]
    ends = (int(np.argmin(spots)), int(np.argmax(spots)))
    taken: list[int] = []
    for index in sorted(range(len(names)), key=lambda index: (not column.ticks[index].is_base, index not in ends, index)):
        half = text_width(names[index], LABEL) / 2
        if all(abs(spots[index] - spots[other]) > half + text_width(names[other], LABEL) / 2 + 5 for other in taken):
            taken.append(index)
    return [name if index in taken else "" for index, name in enumerate(names)]


def _longest(index: int) -> float:
    """A slanted name reaches left, where the first column has only the margin."""
    return LONGEST if index else LONGEST_AT_THE_EDGE


def _label_height(column: Column, width: float, longest: float) -> float:
    if _is_level(column, width):
        return 22
    widest = max(text_width(shorten(drawable(tick.label), longest, LABEL), LABEL) for tick in column.ticks)
    return 16 + widest * float(np.sin(np.radians(SLANT))) + 10


def _draw_key(sheet: Sheet, y: float, rows: Sequence[Row], columns: Sequence[Column]) -> None:
    """What the marks mean, those that occur."""
    canvas, x = sheet.canvas, MARGIN
    marks = [("D", INK, "the base, its value as a dashed line")]
    if any(not tick.is_base for column in columns for tick in column.ticks):
        marks.append(("o", ARM, "one change"))
    words = dict.fromkeys(tick.stopped for column in columns for tick in column.ticks if tick.stopped)
    marks += [("X", STOPPED, word) for word in words]
    for marker, colour, text in marks:
        canvas.plot(x + 5, y - 4, marker=marker, markersize=points(8.5), color=colour, linestyle="")
        sheet.text(x + 16, y, text)
        x += 16 + text_width(text, LABEL) + 18
    if any(row.spread for row in rows):
        sheet.box(x, y - 9, 14, 10, tint(INK, 0.1))
        sheet.text(x + 20, y, "how far seeds lie apart")
