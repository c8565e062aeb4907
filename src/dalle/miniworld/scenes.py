"""What a scene holds: one to three coloured shapes, where they are, and how two of them lie to each other."""

import hashlib
import itertools
import math
from collections.abc import Collection
from dataclasses import dataclass

import numpy as np

from dalle.miniworld.shapes import placed_outline
from dalle.miniworld.variety import RICH, Variety
from dalle.miniworld.vocabulary import COLOURS, GROUNDS, HELDOUT, RELATIONS, SHAPES

CLEARNESS = 1.45  # "above" needs a vertical distance this many times the horizontal one
NUM_OBJECTS_CHANCES = (0.46, 0.49, 0.05)

ALLOWED = tuple((shape, colour) for shape in SHAPES for colour in COLOURS if (shape, colour) not in HELDOUT)
HELDOUT_SORTED = tuple(sorted(HELDOUT))


@dataclass(frozen=True, kw_only=True)
class SceneObject:
    """One shape; `centre` (x, y) and `extent` are fractions of the central square's side."""

    shape: str
    colour: str
    size: str
    centre: tuple[float, float]
    extent: float
    degrees: float


@dataclass(frozen=True, kw_only=True)
class Scene:
    """`relation` is how the first of exactly two objects lies to the second, None for one or three objects."""

    objects: tuple[SceneObject, ...]
    relation: str | None
    ground: str

    @property
    def heldout(self) -> bool:
        return any((item.shape, item.colour) in HELDOUT for item in self.objects)


def draw_scene(
    rng: np.random.Generator, *, heldout: bool, variety: Variety = RICH, unlike: Collection[int] = ()
) -> Scene:
    """A random scene; with `heldout` exactly one object is a combination that training pairs never show.

    Scenes whose `appearance` is in `unlike` are drawn again.
    """
    while appearance(scene := _draw(rng, heldout, variety)) in unlike:
        pass
    return scene


def appearance(scene: Scene, *, mirrored: bool = False) -> int:
    """A number that scenes share whose pictures differ by tints and light alone; or that of the scene's mirror image."""
    turn = -1 if mirrored else 1
    objects = sorted(
        (item.shape, item.colour, item.extent, round(1 - x if mirrored else x, 6), round(y, 6), item.degrees * turn)
        for item in scene.objects
        for x, y in [item.centre]
    )
    return int.from_bytes(hashlib.blake2b(repr((scene.ground, objects)).encode(), digest_size=8).digest(), "big")


def _draw(rng: np.random.Generator, heldout: bool, variety: Variety) -> Scene:
    num_objects = 1 + int(rng.choice(3, p=NUM_OBJECTS_CHANCES))
    looks = [ALLOWED[index] for index in rng.integers(len(ALLOWED), size=num_objects)]
    if heldout:
        looks[int(rng.integers(num_objects))] = HELDOUT_SORTED[int(rng.integers(len(HELDOUT_SORTED)))]
    relation = RELATIONS[int(rng.integers(4))] if num_objects == 2 else None
    ground = GROUNDS[int(rng.integers(len(GROUNDS)))]
    while True:
        objects = _place(rng, looks, relation, variety)
        if objects:
            return Scene(objects=objects, relation=relation, ground=ground)


def _place(
    rng: np.random.Generator, looks: list[tuple[str, str]], relation: str | None, variety: Variety
) -> tuple[SceneObject, ...]:
    """Sizes and positions for the looks, or () if no try respects gaps and relation."""
    sizes = ["small"] * 3 if len(looks) == 3 else [("small", "large")[index] for index in rng.integers(2, size=len(looks))]
    # two large ones fit only when both are at the lower end
    ranges = [variety.sizes[size] for size in sizes]
    extents = [lowest if sizes == ["large"] * 2 else float(rng.uniform(lowest, highest)) for lowest, highest in ranges]
    turns = [float(degrees) for degrees in rng.uniform(-variety.max_degrees, variety.max_degrees, len(looks))]
    outlines = [
        _even_outline(placed_outline(shape, (0.0, 0.0), extent, degrees))
        for (shape, _), extent, degrees in zip(looks, extents, turns, strict=True)
    ]
    for centres in _draw_centres(rng, outlines, sizes, relation, variety):
        if _apart(outlines, centres, variety):
            return tuple(
                SceneObject(shape=shape, colour=colour, size=size, centre=tuple(centre), extent=extent, degrees=degrees)
                for (shape, colour), size, centre, extent, degrees in zip(
                    looks, sizes, centres.tolist(), extents, turns, strict=True
                )
            )
    return ()


def _draw_centres(
    rng: np.random.Generator, outlines: list[np.ndarray], sizes: list[str], relation: str | None, variety: Variety
) -> np.ndarray:
    """Tries for the centres, (tries, objects, 2): all outlines inside the margins, and the relation holds."""
    low = np.array([variety.margin - outline.min(0) for outline in outlines])
    high = np.array([1 - variety.margin - outline.max(0) for outline in outlines])
    draws = rng.uniform(size=(80, len(outlines), 2))
    if len(outlines) == 1:  # a single object likes the middle
        draws = (draws + rng.uniform(size=draws.shape)) / 2
    centres = low + draws * (high - low)
    if variety.cell is not None:
        centres = _on_cells(centres, low, high, sizes, variety.cell)
    if relation is None:
        return centres
    dx, dy = (centres[:, 0] - centres[:, 1]).T
    along, across = {"above": (-dy, dx), "below": (dy, dx), "left of": (-dx, dy), "right of": (dx, dy)}[relation]
    return centres[along > CLEARNESS * np.abs(across)]


def _on_cells(centres: np.ndarray, low: np.ndarray, high: np.ndarray, sizes: list[str], cell: float) -> np.ndarray:
    """The nearest places within `low` and `high` with small objects around the middle of a cell, large ones around a corner."""
    start = np.array([cell / 2 if size == "small" else 0.0 for size in sizes])[:, None]
    first, last = np.ceil((low - start) / cell - 1e-9), np.floor((high - start) / cell + 1e-9)
    return start + cell * np.clip(np.round((centres - start) / cell), first, last)


def _even_outline(points: np.ndarray, num_points: int = 56) -> np.ndarray:
    """The closed outline resampled to points equally far apart, so that point distances stand for gaps."""
    closed = np.concatenate([points, points[:1]])
    lengths = np.concatenate([[0.0], np.hypot(*np.diff(closed, axis=0).T).cumsum()])
    at = np.linspace(0, lengths[-1], num_points, endpoint=False)
    return np.stack([np.interp(at, lengths, closed[:, 0]), np.interp(at, lengths, closed[:, 1])], axis=1)


def _apart(outlines: list[np.ndarray], centres: np.ndarray, variety: Variety) -> bool:
    """Whether all outlines keep the gap; centres as near as a small object's radius mean overlap without more ado."""
    for i, j in itertools.combinations(range(len(outlines)), 2):
        offset = centres[i] - centres[j]
        if math.hypot(*offset) < variety.sizes["small"][0]:
            return False
        difference = (outlines[i] + offset)[:, None] - outlines[j][None]
        if np.einsum("ijk,ijk->ij", difference, difference).min() < variety.gap**2:
            return False
    return True
