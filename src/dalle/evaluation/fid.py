"""Frechet inception distance (Heusel et al. 2017): |m1 - m2|^2 + tr S1 + tr S2 - 2 tr (S1 S2)^(1/2), in float64.

With S2 = F^T F, tr (S1 S2)^(1/2) is the sum of the roots of the eigenvalues of F S1 F^T, a symmetric matrix. Where a set
has no more samples than features that matrix is singular and the roots of its zeros are noise; then S1 = X^T X / (n - 1)
for the centred features X, and the same trace is the sum of the singular values of X F^T / sqrt(n - 1).
"""

import numpy as np
import torch

from dalle.evaluation.statistics import FeatureStatistics
from dalle.randomness import numpy_generator


class FrechetReference:
    """The reference side of the distance, factored once for all sets that are compared with it."""

    def __init__(self, features: np.ndarray) -> None:
        if len(features) < 2:
            raise ValueError(f"FID needs at least 2 reference images, got {len(features)}")
        self.full_rank = len(features) > features.shape[1]
        if self.full_rank:
            statistics = FeatureStatistics.of(features)
            self.mean, self.factor = statistics.mean, square_root(statistics.covariance)
        else:
            self.mean, self.factor = centred(features, np.ones(len(features), dtype=np.int64))
        self.trace = float((self.factor**2).sum())

    def distance(self, features: np.ndarray, weights: np.ndarray | None = None) -> float:
        """FID of features (n, d); `weights` (n,): how often each row counts, once where not given.

        At least two samples; equal sets give zero up to rounding, which may be below zero.
        """
        weights = np.ones(len(features), dtype=np.int64) if weights is None else weights
        if weights.sum() < 2:
            raise ValueError(f"FID needs at least 2 images, got {weights.sum()}")
        if self.full_rank and np.count_nonzero(weights) > features.shape[1]:
            mean, trace, trace_of_root = self._from_covariance(features, weights)
        else:
            mean, trace, trace_of_root = self._from_rows(features, weights)
        return float(((mean - self.mean) ** 2).sum() + trace + self.trace - 2 * trace_of_root)

    def _from_covariance(self, features: np.ndarray, weights: np.ndarray) -> tuple[np.ndarray, float, float]:
        statistics = FeatureStatistics.of(features, weights)
        covariance = statistics.covariance
        eigenvalues = torch.linalg.eigvalsh(torch.from_numpy(self.factor @ covariance @ self.factor.T)).clamp(min=0)
        return statistics.mean, float(np.trace(covariance)), float(eigenvalues.sqrt().sum())

    def _from_rows(self, features: np.ndarray, weights: np.ndarray) -> tuple[np.ndarray, float, float]:
        mean, rows = centred(features, weights)
        singular_values = torch.linalg.svdvals(torch.from_numpy(rows @ self.factor.T))
        return mean, float((rows**2).sum()), float(singular_values.sum())


def fid(features: np.ndarray, reference: np.ndarray) -> float:
    """FID between two sets of features, (n, d) and (m, d)."""
    return FrechetReference(reference).distance(features)


def fid_resamples(features: np.ndarray, reference: FrechetReference, *, num_resamples: int, seed: int) -> np.ndarray:
    """FIDs (num_resamples,) of bootstrap resamples of `features` against the whole reference.

    Their spread is the uncertainty of FID under other samples. Their mean is not FID: repeated rows lower the rank, and FID's
    bias at few samples grows.
    """
    # F of the reference takes every resample to its own directions: the features are projected once for all of them
    rows = features.astype(np.float64)
    projected, squares = rows @ reference.factor.T, (rows**2).sum(axis=1)
    distances = []
    for index in range(num_resamples):
        chosen = numpy_generator(seed, "fid", index).integers(len(features), size=len(features))
        counts = np.bincount(chosen, minlength=len(features))
        mean, total = counts @ rows / len(rows), float(counts.sum())
        trace = float(counts @ squares - total * (mean**2).sum()) / (total - 1)
        present = counts > 0
        part = (projected[present] - reference.factor @ mean) * np.sqrt(counts[present] / (total - 1))[:, None]
        gram = part @ part.T if len(part) < part.shape[1] else part.T @ part
        root = float(torch.linalg.eigvalsh(torch.from_numpy(gram)).clamp(min=0).sqrt().sum())
        distances.append(float(((mean - reference.mean) ** 2).sum()) + trace + reference.trace - 2 * root)
    return np.array(distances)


def square_root(covariance: np.ndarray) -> np.ndarray:
    """F (d, d) with F^T F = `covariance`."""
    eigenvalues, vectors = torch.linalg.eigh(torch.from_numpy(covariance))
    return (vectors * eigenvalues.clamp(min=0).sqrt()).T.contiguous().numpy()


def centred(features: np.ndarray, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The mean (d,) and rows R (r, d) with R^T R = the covariance of the weighted `features`."""
    present = weights > 0
    rows, counts = features[present].astype(np.float64), weights[present]
    mean = counts @ rows / counts.sum()
    return mean, (rows - mean) * np.sqrt(counts / (counts.sum() - 1))[:, None]
