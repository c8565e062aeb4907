"""How a training went: losses and validation metrics above the schedules that steered it."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from dalle.report.frames import require_columns
from dalle.report.lettering import text_width
from dalle.report.lines import EndLabel, label_ends
from dalle.report.sheet import HEADER, MARGIN, Sheet
from dalle.report.style import LABEL, MODELS, MUTED, WIDTH, points, styled, tint

LEFT = 50
PLOT_HEIGHT, SLIM_HEIGHT = 190, 56
START = 0.02  # the first updates may run off the panel: their losses would flatten all that follows


@styled
def training_curves(
    frame: pd.DataFrame, groups: Mapping[str, Sequence[str]], schedules: Mapping[str, str], *, title: str, model: str
) -> Figure:
    """A panel for each of `groups` (heading -> columns), a slim one for each of `schedules` (heading -> column).

    A heading "PSNR | dB" has a muted note behind the bar. `frame` has a `step` column, counted from 0; other columns may be
    sparse. `train/...` columns are drawn pale, all others in the colour of `model` (dvae, dalle or clip) with their points.
    """
    columns = [column for group in groups.values() for column in group]
    require_columns(frame, ["step", *columns, *schedules.values()], "training curves")
    for column in (*columns, *schedules.values()):
        if frame[column].notna().sum() == 0:
            raise ValueError(f"training curves: column '{column}' is empty")
    per_row = len(groups) if len(groups) <= 3 else -(-len(groups) // 2)
    num_rows = -(-len(groups) // per_row)
    slim = SLIM_HEIGHT + 78 if schedules else 0
    subtitle = f"{int(frame['step'].max()) + 1:,} updates · pale: training batches · full: validation, averaged parameters"
    sheet = Sheet(HEADER + 32 + num_rows * (PLOT_HEIGHT + 84) + slim - 22, title, subtitle)
    names = [_name(column, group) for group in groups.values() if len(group) > 1 for column in group]
    room = max((text_width(name, LABEL) for name in names), default=0) + 14  # for the names at the lines' ends
    for index, (heading, group) in enumerate(groups.items()):
        y = HEADER + 32 + index // per_row * (PLOT_HEIGHT + 84)
        axes = _place(sheet, index % per_row, per_row, y, PLOT_HEIGHT, heading, room)
        _panel(axes, frame, group, MODELS[model].colour)
        axes.set_xlabel("updates")
    for index, (heading, column) in enumerate(schedules.items()):
        y = HEADER + 32 + num_rows * (PLOT_HEIGHT + 84) + 6
        _schedule(_place(sheet, index, len(schedules), y, SLIM_HEIGHT, heading, room), frame, column)
    return sheet.figure


def _place(sheet: Sheet, index: int, per_row: int, y: float, height: float, heading: str, room: float) -> Axes:
    pitch = (WIDTH - 2 * MARGIN) / per_row
    title, _, note = heading.partition(" | ")
    return sheet.plot(MARGIN + index * pitch + LEFT, y, pitch - LEFT - room, height, title=title, note=note)


def _panel(axes: Axes, frame: pd.DataFrame, columns: Sequence[str], colour: str) -> None:
    labels, visible = [], []
    for column in columns:
        points_of = frame[["step", column]].dropna()
        steps, values = points_of["step"].to_numpy(), points_of[column].to_numpy()
        training = column.startswith("train/")
        ink = tint(colour, 0.45) if training else colour
        sparse = len(values) <= 40 and not training
        axes.plot(
            steps, values, color=ink, linewidth=points(1.25 if training else 2),
            marker="o" if sparse else None, markersize=points(5), markeredgecolor="white", markeredgewidth=points(0.8),
            zorder=2.2 if training else 2.5,
        )  # fmt: skip
        late = values[steps >= START * frame["step"].max()]
        visible.append(late if len(late) else values)
        if len(columns) > 1:
            name_colour = tint(colour, 0.7) if training else colour
            labels.append(EndLabel(text=_name(column, columns), colour=name_colour, x=steps[-1], y=values[-1]))
    _limits(axes, np.concatenate(visible), frame["step"].max())
    label_ends(axes, labels)


def _name(column: str, columns: Sequence[str]) -> str:
    """What tells a column from the others of its panel: "train" and "valid", or the metric's last word."""
    prefixes = [other.partition("/")[0] for other in columns]
    prefix, _, name = column.partition("/")
    return prefix if len(set(prefixes)) == len(prefixes) else name.rpartition("_")[2]


def _limits(axes: Axes, values: np.ndarray, updates: float) -> None:
    low, high = float(values.min()), float(values.max())
    pad = 0.07 * (high - low) or 0.05 * abs(high) or 1
    axes.set_ylim(low - pad, high + pad)
    span = max(updates, 1)  # a model taken as it is has one point, at 0
    axes.set_xlim(-0.02 * span, 1.02 * span)
    axes.yaxis.set_major_locator(MaxNLocator(5))
    _update_ticks(axes)


def _update_ticks(axes: Axes) -> None:
    axes.xaxis.set_major_locator(MaxNLocator(4, integer=True))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda step, _: f"{step:,.0f}"))


def _schedule(axes: Axes, frame: pd.DataFrame, column: str) -> None:
    points_of = frame[["step", column]].dropna()
    axes.plot(points_of["step"], points_of[column], color=MUTED, linewidth=points(1.75))
    values = points_of[column]
    top = float(values.max()) or 1
    axes.set_ylim(-0.08 * top, 1.15 * top)
    axes.set_xlim(-0.02 * frame["step"].max(), 1.02 * frame["step"].max())
    axes.set_yticks([0, top], ["0", f"{top:.3g}" if top >= 0.01 else f"{top:.2g}"])
    _update_ticks(axes)
