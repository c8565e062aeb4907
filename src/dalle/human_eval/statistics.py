"""How sure a share is, and how far raters agree: of counts (captions, choices), over which votes may be missing."""

import numpy as np
from scipy.stats import binomtest

from dalle.randomness import numpy_generator

CHUNK = 2**22  # draws held at a time


def wilson(number: int, of: int) -> tuple[float, float]:
    """The 95 % interval of a share of independent things: captions, which the five votes of one are not."""
    interval = binomtest(number, of).proportion_ci(method="wilson")
    return float(interval.low), float(interval.high)


def raw_agreement(counts: np.ndarray) -> float:
    """The mean over captions of the share of pairs of votes that are alike; NaN where no caption has two votes."""
    counts = _comparable(counts)
    votes = counts.sum(axis=1)
    return float(np.mean((counts * (counts - 1)).sum(axis=1) / (votes * (votes - 1)))) if len(counts) else float("nan")


def krippendorff_alpha(counts: np.ndarray) -> float:
    """Agreement beyond chance, 1 if perfect, 0 if by chance, for choices without an order (Krippendorff 2011).

    Captions with one vote say nothing and are left out. NaN where all votes are alike, for then there is nothing to agree on.
    With one choice far more frequent than the others alpha is low even where nearly all votes agree.
    """
    counts = _comparable(counts)
    votes, totals = counts.sum(axis=1), counts.sum(axis=0)
    observed = ((votes**2 - (counts**2).sum(axis=1)) / (votes - 1)).sum()  # pairs that differ, within a caption
    expected = (totals.sum() ** 2 - (totals**2).sum()) / max(totals.sum() - 1, 1)  # pairs that differ, among all votes
    return float(1 - observed / expected) if expected else float("nan")


def vote_share(chosen: np.ndarray, votes: np.ndarray, *, resamples: int, seed: int, what: str) -> tuple[float, float, float]:
    """The share `chosen` of all `votes` and its 95 % interval, by drawing captions (not votes) with replacement."""
    size, rng = max(1, CHUNK // len(votes)), numpy_generator(seed, "vote share", what)
    shares = []
    for start in range(0, resamples, size):
        drawn = rng.integers(len(votes), size=(min(size, resamples - start), len(votes)))
        shares.append(chosen[drawn].sum(axis=1) / votes[drawn].sum(axis=1))
    low, high = np.quantile(np.concatenate(shares), (0.025, 0.975))
    return float(chosen.sum() / votes.sum()), float(low), float(high)


def _comparable(counts: np.ndarray) -> np.ndarray:
    counts = np.asarray(counts, dtype=np.int64)
    return counts[counts.sum(axis=1) >= 2]
