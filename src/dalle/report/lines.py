"""Lines with intervals, named at their ends instead of in a box."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes

from dalle.report.lettering import line_height
from dalle.report.style import DEVICE_SCALE, LABEL, points


@dataclass(frozen=True, kw_only=True)
class EndLabel:
    """A name to write to the right of a line's last point."""

    text: str
    colour: str
    x: float
    y: float


def band(axes: Axes, x: Sequence[float], low: Sequence[float], high: Sequence[float], colour: str) -> None:
    """Shade low to high where both are known."""
    low, high = np.asarray(low, float), np.asarray(high, float)
    if np.isfinite(low).any() and np.isfinite(high).any():
        axes.fill_between(x, low, high, color=colour, alpha=0.16, linewidth=0, zorder=1.5)


def curve(axes: Axes, x: Sequence[float], y: Sequence[float], colour: str, marker: str) -> None:
    """A line through filled markers."""
    axes.plot(
        x, y, color=colour, marker=marker, linewidth=points(2.25), markersize=points(7),
        markeredgecolor="white", markeredgewidth=points(1), zorder=2.5, clip_on=False,
    )  # fmt: skip


def dashed_curve(axes: Axes, x: Sequence[float], y: Sequence[float], colour: str, marker: str = "") -> None:
    """A thin dashed line, through hollow markers if any: the same model over another set of images."""
    axes.plot(
        x, y, color=colour, marker=marker or None, linestyle=(0, (3.2, 2.2)), linewidth=points(1.5), markersize=points(6),
        markerfacecolor="white", markeredgewidth=points(1.4), zorder=2.3, clip_on=False,
    )  # fmt: skip


def label_ends(axes: Axes, labels: Sequence[EndLabel], *, size: float = LABEL) -> None:
    """Write the labels beside their points, moved apart vertically just enough not to touch.

    Call it last: a later change of the axes' limits would move the points away from their labels.
    """
    if not labels:
        return
    gap = line_height(size) * DEVICE_SCALE
    labels = sorted(labels, key=lambda label: label.y)
    wanted = np.array([axes.transData.transform((label.x, label.y))[1] for label in labels])
    bottom, top = axes.transAxes.transform([(0, 0), (0, 1)])[:, 1]
    for label, now, then in zip(labels, wanted, spread(wanted, gap, bottom, top), strict=True):
        axes.annotate(
            label.text,
            (label.x, label.y),
            (points(9), points((then - now) / DEVICE_SCALE)),
            textcoords="offset points",
            size=points(size),
            color=label.colour,
            va="center",
            annotation_clip=False,
        )


def spread(wanted: np.ndarray, gap: float, bottom: float, top: float) -> np.ndarray:
    """Positions at least `gap` apart, in the order of the ascending `wanted`, near them, inside [bottom, top] if they fit."""
    groups = [[value] for value in wanted]
    centres = list(wanted)
    merged = True
    while merged:  # neighbours that touch form a group, which is centred on the mean of its members
        merged = False
        for index in range(len(groups) - 1):
            reach = gap * (len(groups[index]) + len(groups[index + 1])) / 2
            if centres[index + 1] - centres[index] < reach - 1e-9:
                groups[index : index + 2] = [groups[index] + groups[index + 1]]
                centres[index : index + 2] = [float(np.mean(groups[index]))]
                merged = True
                break
        centres = [
            float(np.clip(centre, bottom + gap * (len(group) - 1) / 2, max(bottom, top) - gap * (len(group) - 1) / 2))
            for centre, group in zip(centres, groups, strict=True)
        ]
    return np.concatenate(
        [centre + gap * (np.arange(len(group)) - (len(group) - 1) / 2) for centre, group in zip(centres, groups, strict=True)]
    )
