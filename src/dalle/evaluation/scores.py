"""Features of samples and of the reference -> every metric, each with an interval."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from dalle.evaluation.fid import FrechetReference, fid_resamples
from dalle.evaluation.fid_infinity import fid_infinity
from dalle.evaluation.inception_score import inception_score
from dalle.evaluation.kid import kid
from dalle.evaluation.precision_recall import Manifold, precision_recall
from dalle.evaluation.protocol import Protocol


class Score(NamedTuple):
    """A number and the ends of its interval."""

    metric: str
    value: float
    low: float
    high: float


class Reference:
    """The features (M, d) of one reference at one radius, prepared once for all that are compared with it.

    What costs time and nobody looks at is left out of the lesser references: without `resampled` FID has no interval, without
    `spread_out` there is no precision and recall.
    """

    def __init__(
        self, features: np.ndarray, protocol: Protocol, *, resampled: bool = True, spread_out: bool = True
    ) -> None:
        self.features, self.protocol, self.resampled = features, protocol, resampled
        self.frechet = FrechetReference(features)
        self.manifold = Manifold(features, protocol.neighbourhood) if spread_out else None

    def scores(self, features: np.ndarray, seed: int) -> Iterator[Score]:
        """What features (n, d) score against this reference.

        One standard deviation each way: over bootstrap resamples for FID, of the mean over subsets for KID, of the line's
        intercept for fid_infinity. The Wilson 95 % interval for precision and recall.
        """
        protocol, deviation = self.protocol, float("nan")
        if self.resampled:
            deviation = float(fid_resamples(features, self.frechet, num_resamples=protocol.bootstrap, seed=seed).std(ddof=1))
        yield _around("fid", self.frechet.distance(features), deviation)
        if protocol.fid_infinity:
            yield _around("fid_infinity", *fid_infinity(features, self.frechet, seed=seed))
        yield _around("kid", *self._kid(features))
        if self.manifold is None:
            return
        precision, recall = precision_recall(Manifold(features, protocol.neighbourhood), self.manifold)
        yield Score("precision", *precision)
        yield Score("recall", *recall)

    def scores_over(self, subsets: list[np.ndarray]) -> Iterator[Score]:
        """Means over several sets of features, and one standard deviation between them each way."""
        yield _over("fid", [self.frechet.distance(features) for features in subsets])
        yield _over("kid", [self._kid(features)[0] for features in subsets])

    def _kid(self, features: np.ndarray) -> tuple[float, float]:
        """The mean over subsets and its standard deviation: of n images at most n / subset size subsets are independent."""
        size = self.protocol.kid_subset_size
        value, between = kid(features, self.features, subsets=self.protocol.kid_subsets, subset_size=size)
        return value, between * float(np.sqrt(size / min(len(features), len(self.features))))


def class_score(logits: np.ndarray, protocol: Protocol) -> Iterator[Score]:
    """The inception score of logits (n, classes), one standard deviation over its splits each way; it sees no reference."""
    if logits.shape[1]:
        yield _around("inception_score", *inception_score(logits, splits=protocol.inception_splits))


def class_score_over(subsets: list[np.ndarray], protocol: Protocol) -> Iterator[Score]:
    if subsets[0].shape[1]:
        yield _over("inception_score", [inception_score(logits, splits=protocol.inception_splits)[0] for logits in subsets])


def _around(metric: str, value: float, deviation: float) -> Score:
    return Score(metric, value, value - deviation, value + deviation)


def _over(metric: str, values: list[float]) -> Score:
    return _around(f"{metric}_over_subsets", float(np.mean(values)), float(np.std(values, ddof=1)))
