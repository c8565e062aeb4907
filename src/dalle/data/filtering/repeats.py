"""What rules that compare pairs of different parts have in common: from positions among all pairs to each part's rows."""

from collections.abc import Iterable, Iterator
from itertools import pairwise

import numpy as np

from dalle.data.filtering.parts import Parts


def joined(arrays: Iterable[np.ndarray], dtype: np.dtype) -> tuple[np.ndarray, np.ndarray]:
    """(all parts' arrays in one, where each part starts in it, and the end)."""
    arrays = list(arrays)
    return np.concatenate([np.zeros(0, dtype), *arrays]), np.cumsum([0, *map(len, arrays)])


def explain_repeats(
    parts: Parts, starts: np.ndarray, copies: np.ndarray, originals: np.ndarray, words: str
) -> Iterator[list[str]]:
    """Every part's details: "words <pair_id of the original>" for the copies, which are in ascending order."""
    names = _pair_ids(parts, np.unique(originals), starts)
    for start, end in pairwise(starts.tolist()):
        details = [""] * (end - start)
        low, high = np.searchsorted(copies, (start, end))
        for copy, original in zip(copies[low:high].tolist(), originals[low:high].tolist(), strict=True):
            details[copy - start] = f"{words} {names[original]}"
        yield details


def _pair_ids(parts: Parts, positions: np.ndarray, starts: np.ndarray) -> dict[int, str]:
    names: dict[int, str] = {}
    for number, (low, high) in enumerate(pairwise(np.searchsorted(positions, starts))):
        if high > low:
            here = positions[low:high]
            names |= zip(here.tolist(), parts.read(number).pair_id.iloc[here - starts[number]], strict=True)
    return names


def groups(labels: np.ndarray) -> Iterator[slice]:
    """The stretches of equal labels; `labels` is sorted."""
    bounds = np.flatnonzero(np.diff(labels)) + 1
    for low, high in pairwise([0, *bounds.tolist(), len(labels)] if len(labels) else []):
        yield slice(low, high)
