"""Reads a scene off a picture by rule, without training: colours by hue, shapes by overlap, relations by centroids."""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from dalle.miniworld.captions import ObjectQuery, SceneQuery
from dalle.miniworld.templates import match_shape, sharpen
from dalle.miniworld.variety import VARIETIES
from dalle.miniworld.vocabulary import COLOURS

MIN_COLOURFULNESS = 38.0  # distance in colour from the ground; grounds stay below 25, objects lie above 70
MIN_AREA = 0.008  # of the squared side; the smallest object has 0.024
MIN_OVERLAP = 0.68  # below, a blob is of no shape
# between the largest small object and the smallest large one of any world
SIZE_BORDER = (max(v.sizes["small"][1] for v in VARIETIES.values()) + min(v.sizes["large"][0] for v in VARIETIES.values())) / 2


@dataclass(frozen=True, kw_only=True)
class ObjectReading:
    """One object found; `centre` (x, y) and `extent` are fractions of the shorter side, `shape` None for a formless blob."""

    shape: str | None
    colour: str
    size: str
    centre: tuple[float, float]
    extent: float
    overlap: float  # with the shape's template, 1 is perfect


@dataclass(frozen=True, kw_only=True)
class SceneReading:
    """All objects of a picture, from top to bottom."""

    objects: tuple[ObjectReading, ...]


def read_scene(image: np.ndarray) -> SceneReading:
    """The objects in a picture, uint8 (H, W, 3); made for 32 px a side and more."""
    hues, labels = _find(image)
    objects = [_read_object(image, hues, labels, number) for number in range(1, int(labels.max()) + 1)]
    return SceneReading(objects=tuple(sorted(objects, key=lambda item: (item.centre[1], item.centre[0]))))


def shows(image: np.ndarray, query: SceneQuery) -> bool:
    """Whether the picture shows what the query names: as many objects, each with its attributes, and the relation."""
    hues, labels = _find(image)
    numbers = range(1, int(labels.max()) + 1)
    # number and colours first: what is wrong in them needs no shapes, which take the most time
    if len(numbers) != len(query.objects):
        return False
    seen = [_colour_of(image, _core(labels == number)) for number in numbers]
    orders = itertools.permutations(seen)
    asked = [item.colour for item in query.objects]
    if not any(all(colour in (None, one) for colour, one in zip(asked, order, strict=True)) for order in orders):
        return False
    found = [_read_object(image, hues, labels, number) for number in numbers]
    return any(
        all(_fits(item, wanted) for item, wanted in zip(order, query.objects, strict=True))
        and (query.relation is None or _relates(order[0], order[1], query.relation))
        for order in itertools.permutations(found)
    )


def _fits(item: ObjectReading, wanted: ObjectQuery) -> bool:
    return item.shape == wanted.shape and wanted.colour in (None, item.colour) and wanted.size in (None, item.size)


def _relates(first: ObjectReading, second: ObjectReading, relation: str) -> bool:
    dx, dy = first.centre[0] - second.centre[0], first.centre[1] - second.centre[1]
    along, across = {"above": (-dy, dx), "below": (dy, dx), "left of": (-dx, dy), "right of": (dx, dy)}[relation]
    return along > abs(across)


def _find(image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Hues less the ground's (H, W, 3), and the objects' regions, numbered from 1 (H, W)."""
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8:
        raise ValueError(f"read_scene wants a uint8 image of shape (H, W, 3), got {image.dtype} {image.shape}")
    hues = image.astype(np.float32) - image.mean(2, dtype=np.float32, keepdims=True)
    hues -= _ground(hues)
    labels = _label(np.sqrt(np.einsum("hwc,hwc->hw", hues, hues)), MIN_AREA * min(image.shape[:2]) ** 2)
    return hues, labels


def _core(inside: np.ndarray) -> np.ndarray:
    """The pixels of a region that its edge does not touch, where there are enough."""
    core = ndimage.binary_erosion(inside)
    return core if core.sum() >= 8 else inside


def _colour_of(image: np.ndarray, core: np.ndarray) -> str:
    return _nearest_colour(np.median(image[core], axis=0))


def _ground(hues: np.ndarray) -> np.ndarray:
    """The median colour of the picture's rim, where no object reaches: (3,)."""
    rim = max(1, min(hues.shape[:2]) // 16)
    edges = (hues[:rim], hues[-rim:], hues[:, :rim], hues[:, -rim:])
    return np.median(np.concatenate([edge.reshape(-1, 3) for edge in edges]), axis=0)


def _label(colourfulness: np.ndarray, min_area: float) -> np.ndarray:
    """Connected regions numbered from 1, each cut at half of its own colour, so that a bridge of blur joins nothing."""
    regions, count = ndimage.label(colourfulness > MIN_COLOURFULNESS)
    cut = np.zeros_like(regions, dtype=bool)
    for number, window in enumerate(ndimage.find_objects(regions, count), start=1):
        inside = regions[window] == number
        peak = np.quantile(colourfulness[window][inside], 0.85)
        cut[window] |= inside & (colourfulness[window] > 0.5 * peak)
    labels, count = ndimage.label(cut)
    areas = np.bincount(labels.ravel())
    kept = [number for number in range(1, count + 1) if areas[number] >= min_area]
    renumbered = np.zeros(count + 1, dtype=np.int64)
    renumbered[kept] = np.arange(1, len(kept) + 1)
    return renumbered[labels]


def _read_object(image: np.ndarray, hues: np.ndarray, labels: np.ndarray, number: int) -> ObjectReading:
    side = min(image.shape[:2])
    inside = labels == number
    core = _core(inside)
    masks = list(_masks(image, hues, labels, inside, core))
    shape, overlap, extent = max(map(match_shape, masks), key=lambda match: match[1])
    y, x = ndimage.center_of_mass(masks[0])
    return ObjectReading(
        shape=shape if overlap >= MIN_OVERLAP else None,
        colour=_colour_of(image, core),
        size="small" if extent / side < SIZE_BORDER else "large",
        centre=(float((x + 0.5) / side), float((y + 0.5) / side)),
        extent=float(extent / side),
        overlap=overlap,
    )


def _masks(
    image: np.ndarray, hues: np.ndarray, labels: np.ndarray, inside: np.ndarray, core: np.ndarray
) -> Iterator[np.ndarray]:
    """The object's sharpened mask (H, W) by its hue, which textures leave alone, and by its full colour, which JPEG does."""
    reach = max(1, min(labels.shape) // 32)
    # the soft edge belongs to the object too, unless it is another object's
    near = ndimage.binary_dilation(inside, iterations=reach) & (inside | (labels == 0))
    around = ndimage.binary_dilation(near, iterations=reach) & ~near & (labels == 0)
    grounds = [np.zeros(3), np.median(image[around], axis=0)] if around.any() else [np.zeros(3)]
    for pixels, ground in zip((hues, image.astype(np.float32)), grounds, strict=False):
        difference = pixels - ground.astype(np.float32)
        tint = np.median(difference[core], axis=0)
        yield sharpen(np.where(near, difference @ tint / (tint @ tint), 0))


def _nearest_colour(colour: np.ndarray) -> str:
    """The palette's colour nearest in hue, then in saturation; brightness hardly counts, light and shade change it."""
    seen = _hue_coordinates(colour)
    return min(COLOURS, key=lambda name: float(np.linalg.norm(seen - _hue_coordinates(np.array(COLOURS[name])))))


def _hue_coordinates(colour: np.ndarray) -> np.ndarray:
    """Hue as a point on the unit circle, with saturation and brightness at a lower weight: (4,)."""
    red, green, blue = (float(value) for value in colour)
    high, low = max(red, green, blue), min(red, green, blue)
    hue = np.arctan2(np.sqrt(3) * (green - blue), 2 * red - green - blue)
    return np.array([np.cos(hue), np.sin(hue), 0.4 * (high - low) / max(high, 1.0), 0.2 * high / 255])
