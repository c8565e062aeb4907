"""Who wins among the first N candidates, for every N (PAPER 5, Fig. 6 and 9c)."""

from collections.abc import Sequence

import numpy as np


def winners(scores: np.ndarray, sweep: Sequence[int]) -> np.ndarray:
    """The best of the first N candidates of each caption, (C, len(sweep)) int64, from scores (C, candidates).

    The candidates of a smaller N are among those of a larger one. Equal scores go to the lower index.
    """
    num_candidates = scores.shape[1]
    for n in sweep:
        if not 1 <= n <= num_candidates:
            raise ValueError(f"cannot choose among the first {n} candidates: each caption has {num_candidates}")
    if not np.isfinite(scores).all():
        raise ValueError("some scores are not numbers; the model that gave them is broken")
    return np.stack([scores[:, :n].argmax(axis=1) for n in sweep], axis=1)


def distinct_winners(chosen: np.ndarray) -> list[tuple[int, int]]:
    """Every (caption row, candidate) that wins for some N, once, in order; `chosen` is what `winners` gives."""
    return [(row, int(candidate)) for row, candidates in enumerate(chosen) for candidate in np.unique(candidates)]
