"""Rule: the same picture with the same caption again, also when it was encoded or scaled anew."""

import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pandas as pd
from PIL import Image

from dalle.data.filtering.parts import Parts
from dalle.data.filtering.repeats import explain_repeats, groups, joined
from dalle.data.image_files import open_rgb
from dalle.data.manifest import BOX, Place, places

ORDER = 70
WORDS = "same pair again"
SIDE = 16  # of the thumbnails that are compared
MAX_ASPECT_CHANGE = 0.1  # of the logarithm of width / height: a copy may have lost a narrow edge

_NOT_WORDS = re.compile(r"[\W_]+")
_KEYS = np.dtype([("caption", np.uint64), ("image", np.uint64), ("aspect", np.float32)])
_THUMBNAIL = np.dtype([("decoded", bool), ("pixels", np.uint8, (SIDE, SIDE, 3))])


@dataclass(frozen=True, kw_only=True)
class Config:
    """How far two thumbnails of the same picture may be apart, of 255: on average, and in any one value."""

    max_mean_difference: float
    max_difference: float

    def __post_init__(self) -> None:
        for name in ("max_mean_difference", "max_difference"):
            if not 0 <= getattr(self, name) <= 255:
                raise ValueError(f"{name} must be from 0 to 255, got {getattr(self, name)}")


def explain_all(parts: Parts, config: Config) -> Iterator[list[str]]:
    """Pairs that repeat an earlier one that is kept: equal caption but for case and punctuation, and the same picture.

    Files of equal length and checksum are the same picture. Of others only those that share caption and shape are opened:
    they are the same if their thumbnails differ by no more than a new encoding explains. Held in memory are 20 bytes a pair,
    captions as hashes of 64 bits: to be taken for each other two would have to meet in one and have the same picture too.
    """
    keys, starts = joined(parts.map("captions", keys_of), _KEYS)
    copies, originals = _repeated(parts, keys, starts, config)
    yield from explain_repeats(parts, starts, copies, originals, "same as")


def keys_of(pairs: pd.DataFrame) -> np.ndarray:
    """Of every pair `caption`, a hash of its words, `image`, one of its file's length, checksum and box, and its `aspect`."""
    keys = np.zeros(len(pairs), _KEYS)
    words = (_NOT_WORDS.sub(" ", caption.lower()).strip().encode() for caption in pairs.caption)
    keys["caption"] = np.frombuffer(b"".join(hashlib.blake2b(text, digest_size=8).digest() for text in words), "<u8")
    image = (pairs.crc32.to_numpy().astype(np.uint64) << 32) | (pairs.num_bytes.to_numpy().astype(np.uint64) & 0xFFFFFFFF)
    for name in BOX:
        image = image * np.uint64(0x9E3779B97F4A7C15) + pairs[name].to_numpy().astype(np.uint64)
    keys["image"] = image
    keys["aspect"] = np.log(pairs.width.clip(lower=1) / pairs.height.clip(lower=1))
    return keys


def _repeated(parts: Parts, keys: np.ndarray, starts: np.ndarray, config: Config) -> tuple[np.ndarray, np.ndarray]:
    """Positions of the pairs to drop, ascending, and of the kept pair that each repeats."""
    order = np.lexsort((keys["image"], keys["caption"]))
    keys = keys[order]
    is_new_caption = np.append(True, np.diff(keys["caption"]) != 0)[: len(keys)]
    is_new_file = np.append(True, np.diff(keys["image"]) != 0)[: len(keys)] | is_new_caption
    # the sort is stable: of equal files the earliest comes first
    file_of_pair, first = np.cumsum(is_new_file) - 1, np.flatnonzero(is_new_file)
    original = order[first]  # of every file with its caption, the pair that is kept
    caption = np.cumsum(is_new_caption)[first]
    aspect = keys["aspect"][first]
    several = _with_a_like(caption, aspect)
    thumbnails = _thumbnails(parts, original[several], starts)
    for stretch in groups(caption[several]):
        earliest_first = stretch.start + np.argsort(original[several[stretch]])
        for copy, kept in _same_pictures(thumbnails[earliest_first], aspect[several[earliest_first]], config):
            original[several[earliest_first[copy]]] = original[several[earliest_first[kept]]]
    originals = original[file_of_pair]
    repeats = originals != order
    ascending = np.argsort(order[repeats])
    return order[repeats][ascending], originals[repeats][ascending]


def _with_a_like(caption: np.ndarray, aspect: np.ndarray) -> np.ndarray:
    """Positions, ascending, of those that share their caption with one of nearly their shape."""
    several = np.flatnonzero(np.bincount(caption, minlength=1)[caption] > 1)
    if not len(several):
        return several
    order = several[np.lexsort((aspect[several], caption[several]))]
    like = (np.diff(caption[order]) == 0) & (np.diff(aspect[order]) <= MAX_ASPECT_CHANGE)
    return np.sort(order[np.append(like, False) | np.append(False, like)])


def _same_pictures(thumbnails: np.ndarray, aspect: np.ndarray, config: Config) -> Iterator[tuple[int, int]]:
    """(copy, the first kept picture that it repeats) among the thumbnails, in their order; undecoded ones are like no other."""
    pixels = thumbnails["pixels"]
    # two thumbnails' mean difference is never below the difference of their means: a hash that needs no luck
    brightness = pixels.mean((1, 2, 3), dtype=np.float64)
    order = np.argsort(brightness, kind="stable")
    low = np.searchsorted(brightness[order], brightness - config.max_mean_difference, "left")
    high = np.searchsorted(brightness[order], brightness + config.max_mean_difference, "right")
    kept = np.zeros(len(pixels), bool)
    for position in np.flatnonzero(thumbnails["decoded"]).tolist():
        near = order[low[position] : high[position]]
        near = np.sort(near[kept[near] & (np.abs(aspect[near] - aspect[position]) <= MAX_ASPECT_CHANGE)])
        same = near[_same_picture(pixels[near], pixels[position], config)]
        if len(same):
            yield position, int(same[0])
        else:
            kept[position] = True


def _same_picture(thumbnails: np.ndarray, thumbnail: np.ndarray, config: Config) -> np.ndarray:
    difference = np.abs(thumbnails.astype(np.int16) - thumbnail.astype(np.int16))
    alike = difference.mean((1, 2, 3)) <= config.max_mean_difference
    return alike & (difference.max((1, 2, 3), initial=0) <= config.max_difference)


def _thumbnails(parts: Parts, positions: np.ndarray, starts: np.ndarray) -> np.ndarray:
    """Thumbnails of the pairs at these positions, in a file: only the group that is compared is in memory."""
    thumbnails = parts.array("all_thumbnails", len(positions), _THUMBNAIL)
    if not len(positions):
        return thumbnails
    ascending = np.argsort(positions)
    bounds = list(pairwise(np.searchsorted(positions[ascending], starts)))
    rows = (positions[ascending[low:high]] - start for (low, high), start in zip(bounds, starts[:-1], strict=True))
    for (low, high), found in zip(bounds, parts.map("thumbnails", thumbnails_of, rows), strict=True):
        thumbnails[ascending[low:high]] = found
    return thumbnails


def thumbnails_of(pairs: pd.DataFrame, rows: np.ndarray) -> np.ndarray:
    thumbnails = np.zeros(len(rows), _THUMBNAIL)
    for number, place in enumerate(places(pairs.iloc[rows])):
        pixels = _thumbnail(place)
        if pixels is not None:
            thumbnails[number] = True, pixels
    return thumbnails


def _thumbnail(place: Place) -> np.ndarray | None:
    """None where the structure is whole and the pixels are not."""
    try:
        # bilinear with antialiasing: overlapping windows forgive a picture that was scaled
        image = open_rgb(place.file, place.offset, place.num_bytes, draft=(2 * SIDE, 2 * SIDE))
    except ValueError:
        return None
    return np.asarray(image.resize((SIDE, SIDE), Image.Resampling.BILINEAR))
