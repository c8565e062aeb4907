"""Panels: a picture whose bottom half is made from its top half, as its caption says (PAPER 7, the paper's Fig. 14)."""

from dataclasses import dataclass

import numpy as np

from dalle.miniworld.scenes import SceneObject
from dalle.miniworld.shapes import placed_outline
from dalle.miniworld.variety import RICH, Variety
from dalle.miniworld.vocabulary import COLOURS, GROUNDS, HELDOUT

KINDS = ("reflected", "recoloured", "copied")
SHAPES_WITH_A_TOP = ("triangle", "star", "heart")  # upside-down they look different
PANEL_MARGIN = 0.03  # above and below a shape, as the variety's margin at its sides; both as fractions of the picture's side


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


def draw_panels(rng: np.random.Generator, kind: str, variety: Variety = RICH) -> Panels:
    """Random panels of one of `KINDS`; in neither half a combination that training pairs never show."""
    shape = SHAPES_WITH_A_TOP[int(rng.integers(len(SHAPES_WITH_A_TOP)))]
    allowed = [colour for colour in COLOURS if (shape, colour) not in HELDOUT]
    colour, other = (allowed[index] for index in rng.permutation(len(allowed))[:2])
    extent = float(rng.uniform(*variety.panel_extent))
    degrees = float(rng.uniform(-variety.max_degrees, variety.max_degrees))
    outline = placed_outline(shape, (0.0, 0.0), extent, degrees)
    low = np.array([variety.margin, PANEL_MARGIN]) - outline.min(0)
    high = np.array([1 - variety.margin, 0.5 - PANEL_MARGIN]) - outline.max(0)
    centre = rng.uniform(low, high)
    if variety.cell is not None:  # across whole cells, in the middle of its half
        steps = np.clip(np.round(centre[0] / variety.cell), np.ceil(low[0] / variety.cell), np.floor(high[0] / variety.cell))
        centre = np.array([variety.cell * steps, 0.25])
    return Panels(
        kind=kind,
        shape=shape,
        colour=colour,
        colour_below=other if kind == "recoloured" else colour,
        centre=tuple(centre.tolist()),
        extent=extent,
        degrees=degrees,
        ground=GROUNDS[int(rng.integers(len(GROUNDS)))],
    )
