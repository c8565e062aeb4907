"""Reads both halves of a picture of panels by rule, and judges whether the bottom is made from the top as was asked."""

import math
from dataclasses import dataclass

import numpy as np

from dalle.miniworld.panels import Panels
from dalle.miniworld.reader import read_scene

MAX_OFFSET = 0.1  # of the picture's side; positions range over 0.5 and more
MAX_RATIO = 1.25  # between two extents that count as the same


@dataclass(frozen=True, kw_only=True)
class PanelReading:
    """The one shape of a half; `centre` (x, y from the half's top) and `extent` are fractions of the picture's side."""

    shape: str | None
    colour: str
    upside_down: bool
    centre: tuple[float, float]
    extent: float


def read_panel(half: np.ndarray) -> PanelReading | None:
    """The shape in a half, uint8 (S/2, S, 3), upright or upside-down, whichever fits better; None unless there is one shape."""
    upright, flipped = (read_scene(pixels).objects for pixels in (half, np.ascontiguousarray(half[::-1])))
    if len(upright) != 1 or len(flipped) != 1:
        return None
    upside_down = flipped[0].overlap > upright[0].overlap
    found = flipped[0] if upside_down else upright[0]
    # a reading's unit is the shorter side: the half's height
    x, y = (value / 2 for value in found.centre)
    return PanelReading(
        shape=found.shape,
        colour=found.colour,
        upside_down=upside_down,
        centre=(x, 0.5 - y if upside_down else y),
        extent=found.extent / 2,
    )


def shows_panels(image: np.ndarray, panels: Panels) -> bool:
    """Whether a picture, uint8 (S, S, 3), has the top half of `panels` and below it what they say becomes of it."""
    middle, flipped = image.shape[0] // 2, panels.kind == "reflected"
    # the bottom first: it is where completions go wrong
    return _agrees(image[middle:], panels, panels.colour_below, panels.centre_below, upside_down=flipped) and _agrees(
        image[:middle], panels, panels.colour, panels.centre, upside_down=False
    )


def _agrees(half: np.ndarray, panels: Panels, colour: str, centre: tuple[float, float], *, upside_down: bool) -> bool:
    found = read_panel(half)
    return (
        found is not None
        and (found.shape, found.colour, found.upside_down) == (panels.shape, colour, upside_down)
        and math.dist(found.centre, centre) <= MAX_OFFSET
        and 1 / MAX_RATIO <= found.extent / panels.extent <= MAX_RATIO
    )
