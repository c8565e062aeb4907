"""How much the renders of one scene differ: the canonical world that two cores can learn, and the rich one."""

from dataclasses import dataclass
from typing import Literal

Range = tuple[float, float]


@dataclass(frozen=True, kw_only=True)
class Variety:
    """Ranges from which a render draws what its caption does not say; lengths are fractions of the central square's side.

    In the canonical world every range is one number, grounds have few tints and fixed patterns, and objects lie on whole
    cells of an 8 x 8 grid, the grid of a dVAE with f = 8 at 64 pixels. That is a convenience for small models: a scene costs
    the prior fewer nats. The rich world draws lights, turns, tints, sizes and places at random.
    """

    name: Literal["canonical", "rich"]
    sizes: dict[str, Range]  # the extent of an object's unit box
    margin: float  # kept free at every edge of the square
    gap: float  # between the outlines of two objects
    cell: float | None  # objects lie on whole cells of this side; None: anywhere
    max_degrees: float  # of turn, either way
    light: Range  # direction of the light as a fraction of pi, from the right (0) over the top to the left
    tint_scale: Range  # factor of an object's colour
    tint_noise: float  # standard deviation of an object's colour, of 255
    panel_extent: Range
    short_side: tuple[int, int]  # of a picture, in pixels
    bird_extent: Range
    bird_degrees: Range
    bird_jitter: float  # standard deviation of a bird's place
    feather_noise: float  # standard deviation of a plumage colour, of 255

    @property
    def is_canonical(self) -> bool:
        return self.name == "canonical"


CANONICAL = Variety(
    name="canonical",
    sizes={"small": (0.34, 0.34), "large": (0.45, 0.45)},
    margin=0.015,
    gap=3.0 / 64,
    cell=1 / 8,
    max_degrees=0.0,
    light=(0.64, 0.64),
    tint_scale=(1.0, 1.0),
    tint_noise=0.0,
    panel_extent=(0.38, 0.38),
    short_side=(96, 96),
    bird_extent=(0.88, 0.88),
    bird_degrees=(-5.0, -5.0),
    bird_jitter=0.0,
    feather_noise=0.0,
)

RICH = Variety(
    name="rich",
    sizes={"small": (0.28, 0.32), "large": (0.42, 0.48)},
    margin=0.05,
    gap=3.8 / 64,  # between two sampled outlines: at least 3 px at 64 px between the real ones
    cell=None,
    max_degrees=9.0,
    light=(0.25, 0.75),
    tint_scale=(0.95, 1.04),
    tint_noise=4.0,
    panel_extent=(0.34, 0.40),
    short_side=(80, 112),
    bird_extent=(0.80, 0.93),
    bird_degrees=(-16.0, 8.0),
    bird_jitter=0.02,
    feather_noise=5.0,
)

VARIETIES = {variety.name: variety for variety in (CANONICAL, RICH)}
