"""Which reference images also occur in the training set: without them the dashed lines of Fig. 9 are drawn (PAPER 3.2)."""

import json
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np


def read_overlap(path: Path, image_ids: Sequence[str]) -> np.ndarray:
    """Which of the reference's `image_ids` are listed in a file {"image_ids": [...], ...}, bool (M,).

    An id that the reference does not have is a ValueError: the list is of another data set.
    """
    try:
        listed = list(json.loads(path.read_text())["image_ids"])
    except (ValueError, KeyError, TypeError):
        raise ValueError(f'{path}: expected JSON with a list of reference images, {{"image_ids": [...]}}') from None
    unknown = sorted(set(map(str, listed)) - set(map(str, image_ids)))
    if unknown:
        raise ValueError(f"{path}: image_ids {', '.join(unknown[:5])} are not in the reference; was it found for other images?")
    return _members(listed, image_ids)


def planted_overlap(leak_of: Iterable[str], domain: str, image_ids: Sequence[str]) -> np.ndarray:
    """The miniature world's truth: `leak_of` says "DOMAIN:image_id" for the training pairs that show an evaluation image."""
    leaks = (leak.partition(":") for leak in leak_of)
    return _members([image_id for corpus, _, image_id in leaks if corpus == domain], image_ids)


def _members(listed: Iterable[str | int], image_ids: Sequence[str]) -> np.ndarray:
    overlapping = set(map(str, listed))
    return np.array([str(image_id) in overlapping for image_id in image_ids], dtype=bool)
