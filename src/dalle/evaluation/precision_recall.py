"""Precision and recall of samples (Kynkaanniemi et al. 2019): who lies within reach of whose nearest neighbours.

A set's manifold is made of balls, one around each of its features, that reach to its k-th nearest neighbour in the set.
"""

from typing import NamedTuple

import numpy as np
from scipy.stats import binomtest

ROWS = 1024  # of a matrix of distances held at a time


class Share(NamedTuple):
    """A fraction of a set with its Wilson 95 % interval."""

    value: float
    low: float
    high: float

    @classmethod
    def of(cls, members: np.ndarray) -> "Share":
        interval = binomtest(int(members.sum()), len(members)).proportion_ci(method="wilson")
        return cls(float(members.mean()), float(interval.low), float(interval.high))


class Manifold:
    """Features (n, d) with the squared reach of each, to its `neighbourhood`-th nearest other."""

    def __init__(self, features: np.ndarray, neighbourhood: int) -> None:
        if not 1 <= neighbourhood < len(features):
            rule = f"between 1 and one less than the images of the smaller set ({len(features)})"
            raise ValueError(f"neighbourhood must be {rule}, got {neighbourhood}")
        self.features = features.astype(np.float64)
        reaches = [
            np.partition(block, neighbourhood, axis=1)[:, neighbourhood]  # the nearest is the feature itself
            for block in squared_distances(self.features, self.features)
        ]
        self.reach = np.concatenate(reaches)

    def holds(self, features: np.ndarray) -> np.ndarray:
        """Whether each of `features` (m, d) lies in one of the balls, bool (m,)."""
        blocks = squared_distances(features.astype(np.float64), self.features)
        return np.concatenate([(block <= self.reach).any(axis=1) for block in blocks])


def precision_recall(samples: Manifold, reference: Manifold) -> tuple[Share, Share]:
    """Precision: samples on the reference's manifold, what looks real. Recall: reference images on the samples' manifold.

    Both depend on how many images the sets hold: recall above all falls with fewer samples.
    """
    return Share.of(reference.holds(samples.features)), Share.of(samples.holds(reference.features))


def squared_distances(x: np.ndarray, y: np.ndarray):
    """Blocks of rows of the matrix (len(x), len(y)) in float64."""
    squares = (y**2).sum(axis=1)
    for start in range(0, len(x), ROWS):
        rows = x[start : start + ROWS]
        yield np.maximum((rows**2).sum(axis=1)[:, None] + squares - 2 * rows @ y.T, 0)
