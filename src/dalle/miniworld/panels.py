"""Panels: a picture whose bottom half is made from its top half, as its caption says (PAPER 7, the paper's Fig. 14)."""

from dataclasses import dataclass

import numpy as np

from dalle.miniworld.scenes import MARGIN, MAX_DEGREES, SceneObject
from dalle.miniworld.shapes import placed_outline
from dalle.miniworld.vocabulary import COLOURS, GROUNDS, HELDOUT

KINDS = ("reflected", "recoloured", "copied")
SHAPES_WITH_A_TOP = ("triangle", "star", "heart")  # upside-down they look different
EXTENTS = (0.34, 0.40)  # a panel is 0.5 high: as large as leaves the position some room
PANEL_MARGIN = 0.03  # above and below a shape, as MARGIN at its sides; both as fractions of the picture's side


@dataclass(frozen=True, kw_only=True)
class Panels:
    """One shape in the top half and what became of it below; lengths are fractions of the picture's side.

    `centre` (x, y) is that of the shape in the top half; `colour_below` is `colour` again unless `kind` is recoloured.
    """

    kind: str
    shape: str
    colour: str
    colour_below: str
    centre: tuple[float, float]
    extent: float
    degrees: float
    ground: str

    @property
    def centre_below(self) -> tuple[float, float]:
        """Where the shape lies in the bottom half, y from the middle of the picture."""
        x, y = self.centre
        return (x, 0.5 - y) if self.kind == "reflected" else (x, y)

    def top(self, colour: str) -> SceneObject:
        """The shape of the top half in one of the two colours."""
        return SceneObject(
            shape=self.shape, colour=colour, size="medium", centre=self.centre, extent=self.extent, degrees=self.degrees
        )


def draw_panels(rng: np.random.Generator, kind: str) -> Panels:
    """Random panels of one of `KINDS`; in neither half a combination that training pairs never show."""
    shape = SHAPES_WITH_A_TOP[int(rng.integers(len(SHAPES_WITH_A_TOP)))]
    allowed = [colour for colour in COLOURS if (shape, colour) not in HELDOUT]
    colour, other = (allowed[index] for index in rng.permutation(len(allowed))[:2])
    extent, degrees = float(rng.uniform(*EXTENTS)), float(rng.uniform(-MAX_DEGREES, MAX_DEGREES))
    outline = placed_outline(shape, (0.0, 0.0), extent, degrees)
    low = np.array([MARGIN, PANEL_MARGIN]) - outline.min(0)
    high = np.array([1 - MARGIN, 0.5 - PANEL_MARGIN]) - outline.max(0)
    return Panels(
        kind=kind,
        shape=shape,
        colour=colour,
        colour_below=other if kind == "recoloured" else colour,
        centre=tuple(rng.uniform(low, high).tolist()),
        extent=extent,
        degrees=degrees,
        ground=GROUNDS[int(rng.integers(len(GROUNDS)))],
    )
