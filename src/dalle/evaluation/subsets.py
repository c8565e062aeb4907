"""Winners among random parts of the pool of candidates: the curve over N without the luck of one order (Fig. 9c)."""

from collections.abc import Sequence

import numpy as np

from dalle.randomness import numpy_generator


def subset_winners(scores: np.ndarray, sweep: Sequence[int], *, num_subsets: int, seed: int) -> np.ndarray:
    """Candidates (num_subsets, C, len(sweep)) that win among N random ones of a caption's pool, from scores (C, pool).

    Each caption's pool is put in a random order, anew for every subset, and its first N compete: every N sees an unbiased
    draw, and a winner of many N is one image. The first subset keeps the order in which the candidates were drawn, which is
    as random. Equal scores go to the lower number.
    """
    num_captions, pool = scores.shape
    if not 1 <= min(sweep) <= max(sweep) <= pool:
        raise ValueError(f"cannot choose among {list(sweep)} candidates: each caption has {pool}")
    orders = np.tile(np.arange(pool), (num_subsets, num_captions, 1))
    for index in range(1, num_subsets):
        orders[index] = numpy_generator(seed, "rerank subset", index).permuted(orders[0], axis=1)
    return np.stack([_winners_among(scores, np.sort(orders[:, :, :n], axis=2)) for n in sweep], axis=2)


def _winners_among(scores: np.ndarray, competing: np.ndarray) -> np.ndarray:
    """The best of the `competing` candidates (R, C, n) of each caption."""
    best = np.take_along_axis(scores[None], competing, axis=2).argmax(axis=2)
    return np.take_along_axis(competing, best[:, :, None], axis=2)[:, :, 0]
