"""Reads the colours of a bird's named parts off a picture by rule, without training: the drawing says where they lie.

Poses of the world's birds are painted once, each part in a colour of its own. The pose whose parts are the most even in
colour is where the bird is; a part has a colour of `PLUMAGE` where at least half of its pixels are nearest to that.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from dalle.miniworld.bird_pictures import bird_alone
from dalle.miniworld.birds import BILLS, PLUMAGE, TAILS, TEMPLATES, Species
from dalle.miniworld.variety import VARIETIES
from dalle.randomness import numpy_generator

PARTS = {"crown": "red", "back": "green", "wing": "blue", "belly": "yellow"}  # and what tells them apart in a template
NUM_DRAWS = 128  # of poses, for each length of tail and bill: the same pose counts once
TOLERANCE = 20.0  # of a template's own colours, whose jitter is below it
MAX_DISTANCE = 50.0  # of a pixel from the colour of its part, by which light and shade move it; little of the foliage is near
MIN_SHARE = 0.5  # of a part's pixels that have its colour
BATCH = 256  # pictures whose poses are looked for at a time

_COLOURS = np.array(list(PLUMAGE.values()), np.float32)
_SLOT = re.compile(r"\{(\w+)\}")
_GRAMMAR = tuple((re.compile(_SLOT.sub(r"(\\w+)", template)), tuple(_SLOT.findall(template))) for template in TEMPLATES)


@dataclass(frozen=True, kw_only=True)
class BirdQuery:
    """What a caption says about the colours of a bird: part of `PARTS` -> colour of `PLUMAGE`, one at least."""

    colours: tuple[tuple[str, str], ...]


def parse_bird(caption: str) -> BirdQuery | None:
    """The colours that a caption of the world's templates names; None for any other, and where it names none."""
    text = re.sub(r"\ban (?=orange)", "a ", " ".join(caption.lower().split()).removesuffix("."))
    for pattern, names in _GRAMMAR:
        found = pattern.fullmatch(text)
        if found:
            # a set: a template may name a part twice
            said = {(part, word) for part, word in zip(names, found.groups(), strict=True) if part in PARTS}
            known = all(colour in PLUMAGE for _, colour in said)
            return BirdQuery(colours=tuple(sorted(said))) if said and known else None
    return None


def birds_show(images: np.ndarray, queries: Sequence[BirdQuery]) -> np.ndarray:
    """Whether each picture, uint8 (N, S, S, 3) of 48 px and more, has the colours that its query names: bool (N,)."""
    if images.ndim != 4 or images.shape[1] != images.shape[2] or images.shape[3] != 3 or images.dtype != np.uint8:
        raise ValueError(f"birds_show wants uint8 images of shape (N, S, S, 3), got {images.dtype} {images.shape}")
    poses = _poses(images.shape[1])
    shown = []
    for start in range(0, len(images), BATCH):
        batch, asked = images[start : start + BATCH], queries[start : start + BATCH]
        for image, query, best in zip(batch, asked, poses.best(batch), strict=True):
            shown.append(all(_has(image[poses.members[best][part]], colour) for part, colour in query.colours))
    return np.array(shown, dtype=bool)


def _has(pixels: np.ndarray, colour: str) -> bool:
    """Whether most of a part's pixels (n, 3) have the colour."""
    distances = np.linalg.norm(pixels[:, None].astype(np.float32) - _COLOURS, axis=2)
    nearest = distances.argmin(axis=1) == list(PLUMAGE).index(colour)
    return float((nearest & (distances.min(axis=1) <= MAX_DISTANCE)).mean()) >= MIN_SHARE


@dataclass(frozen=True)
class _Poses:
    """All poses of a side of pixels: masks (S, S) of each part, and the same flat, to measure evenness by."""

    members: list[dict[str, np.ndarray]]
    flat: np.ndarray  # float32 (poses * parts, S * S)
    areas: np.ndarray  # (poses, parts)

    def best(self, images: np.ndarray) -> np.ndarray:
        """The pose of each picture whose parts vary least within themselves, (N,)."""
        pixels = images.reshape(len(images), -1, 3).astype(np.float32) / 255
        sums = np.stack([self._sums(pixels[..., channel]) for channel in range(3)])
        squares = self._sums((pixels**2).sum(axis=2)).sum(axis=2)
        between = ((sums**2).sum(axis=0) / self.areas).sum(axis=2)
        return ((squares - between) / self.areas.sum(axis=1)).argmin(axis=1)

    def _sums(self, values: np.ndarray) -> np.ndarray:
        """Sums of values (N, S * S) over each part of each pose: (N, poses, parts)."""
        return (values @ self.flat.T).reshape(len(values), *self.areas.shape)


@lru_cache(maxsize=4)
def _poses(size: int) -> _Poses:
    members = list(_drawn_poses(size))
    flat = np.array([mask.ravel() for masks in members for mask in masks.values()], np.float32)
    return _Poses(members, flat, flat.sum(axis=1).reshape(-1, len(PARTS)))


def _drawn_poses(size: int) -> Iterator[dict[str, np.ndarray]]:
    seen = set()
    for tail in TAILS:
        for bill in BILLS:
            species = Species(name="", bill=bill, tail=tail, **PARTS)
            draws = [(number, variety) for variety in VARIETIES.values() for number in range(NUM_DRAWS)]
            for number, variety in draws:
                rng = numpy_generator(0, "bird reader", number)
                pixels = np.asarray(bird_alone(species, rng, (size, size), variety))
                if pixels.tobytes() not in seen:
                    seen.add(pixels.tobytes())
                    yield {part: _of_colour(pixels, colour) for part, colour in PARTS.items()}


def _of_colour(pixels: np.ndarray, colour: str) -> np.ndarray:
    """The pixels (S, S) that a part covers whole."""
    distances = np.linalg.norm(pixels[..., :3].astype(np.float32) - PLUMAGE[colour], axis=2)
    return (pixels[..., 3] == 255) & (distances < TOLERANCE)
