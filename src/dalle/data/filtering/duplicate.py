"""Rule: the same picture with the same caption again, also when it was encoded or scaled anew."""

import os
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pandas as pd
from PIL import Image

from dalle.data.image_files import open_rgb
from dalle.data.manifest import Place, places
from dalle.progress import track

SIDE = 16  # of the thumbnails that are compared
MAX_MEAN_DIFFERENCE = 3.0  # of 255, over a thumbnail's values
MAX_DIFFERENCE = 40.0  # of 255, of any one value

_NOT_WORDS = re.compile(r"[\W_]+")


def duplicate(manifest: pd.DataFrame) -> pd.Series:
    """Pairs that repeat one with a smaller `pair_id`: equal caption but for case and punctuation, and the same picture.

    Pictures are the same if their thumbnails differ by no more than a new encoding explains (equal files: by nothing). Only
    images that share a caption are opened; they must be decodable.
    """
    details = pd.Series("", index=manifest.index, dtype=str)
    captions = manifest.caption.map(_normalise)
    shared = manifest[captions.duplicated(keep=False)].sort_values("pair_id")
    thumbnails = _thumbnails(shared)
    for positions in pd.Series(range(len(shared))).groupby(captions[shared.index].to_numpy()).indices.values():
        for copy, original in _repeats(thumbnails[positions]):
            first = shared.pair_id.iat[positions[original]]
            details[shared.index[positions[copy]]] = f"same picture and caption as {first}"
    return details


def _normalise(caption: str) -> str:
    return _NOT_WORDS.sub(" ", caption.lower()).strip()


def _repeats(thumbnails: np.ndarray) -> Iterator[tuple[int, int]]:
    """(copy, the first kept picture that it repeats) among the thumbnails (N, SIDE, SIDE, 3), in their order."""
    # two thumbnails' mean difference is never below the difference of their means: a hash that needs no luck
    brightness = thumbnails.mean((1, 2, 3), dtype=np.float64)
    order = np.argsort(brightness, kind="stable")
    low = np.searchsorted(brightness[order], brightness - MAX_MEAN_DIFFERENCE, "left")
    high = np.searchsorted(brightness[order], brightness + MAX_MEAN_DIFFERENCE, "right")
    kept = np.zeros(len(thumbnails), bool)
    for position in range(len(thumbnails)):
        near = order[low[position] : high[position]]
        near = np.sort(near[kept[near]])
        same = near[_same_picture(thumbnails[near], thumbnails[position])]
        if len(same):
            yield position, int(same[0])
        else:
            kept[position] = True


def _same_picture(thumbnails: np.ndarray, thumbnail: np.ndarray) -> np.ndarray:
    difference = np.abs(thumbnails.astype(np.int16) - thumbnail.astype(np.int16))
    return (difference.mean((1, 2, 3)) <= MAX_MEAN_DIFFERENCE) & (difference.max((1, 2, 3), initial=0) <= MAX_DIFFERENCE)


def _thumbnails(manifest: pd.DataFrame) -> np.ndarray:
    """uint8 (N, SIDE, SIDE, 3), every distinct image decoded once."""
    pictures = places(manifest)
    distinct = list(dict.fromkeys(pictures))
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        made = track(pool.map(_thumbnail, distinct), what="compare", unit="images", total=len(distinct))
        of_place = dict(zip(distinct, made, strict=True))
    return np.stack([of_place[place] for place in pictures]) if pictures else np.zeros((0, SIDE, SIDE, 3), np.uint8)


def _thumbnail(place: Place) -> np.ndarray:
    # bilinear with antialiasing: overlapping windows forgive a picture that was scaled
    image = open_rgb(place.file, place.offset, place.num_bytes, draft=(2 * SIDE, 2 * SIDE))
    return np.asarray(image.resize((SIDE, SIDE), Image.Resampling.BILINEAR))
