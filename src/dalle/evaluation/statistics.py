"""Mean and covariance of features from sums that can be streamed and merged, in float64."""

from typing import Self

import numpy as np

CHUNK = 4096  # rows held in float64 at a time


class FeatureStatistics:
    """Running sums of features of size d: how many, sum of x, sum of x x^T."""

    def __init__(self, feature_size: int) -> None:
        self.num_samples = 0
        self.total = np.zeros(feature_size)
        self.outer = np.zeros((feature_size, feature_size))

    @classmethod
    def of(cls, features: np.ndarray, weights: np.ndarray | None = None) -> Self:
        statistics = cls(features.shape[1])
        statistics.add(features, weights)
        return statistics

    def add(self, features: np.ndarray, weights: np.ndarray | None = None) -> None:
        """Take in features (n, d); `weights` (n,) are whole numbers: how often each row counts."""
        if weights is None:
            weights = np.ones(len(features), dtype=np.int64)
        for start in range(0, len(features), CHUNK):
            rows, counts = features[start : start + CHUNK].astype(np.float64), weights[start : start + CHUNK]
            self.num_samples += int(counts.sum())
            self.total += counts @ rows
            self.outer += (rows * counts[:, None]).T @ rows

    def merge(self, other: Self) -> Self:
        """The statistics of both sets together."""
        merged = type(self)(len(self.total))
        merged.num_samples = self.num_samples + other.num_samples
        merged.total = self.total + other.total
        merged.outer = self.outer + other.outer
        return merged

    @property
    def mean(self) -> np.ndarray:
        return self.total / self.num_samples

    @property
    def covariance(self) -> np.ndarray:
        """The unbiased covariance, (d, d): needs two samples."""
        if self.num_samples < 2:
            raise ValueError(f"a covariance needs at least 2 samples, got {self.num_samples}")
        return (self.outer - np.outer(self.total, self.mean)) / (self.num_samples - 1)
