"""The numbers of Fig. 9: FID, inception score and KID over blur radii and over the number of reranked candidates (PAPER 6)."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from dalle.evaluation.blur import KINDS, blur, scaled_radius
from dalle.evaluation.features import NETWORKS, Extractor
from dalle.evaluation.fid import FrechetReference, fid_resamples
from dalle.evaluation.inception_score import inception_score
from dalle.evaluation.kid import kid
from dalle.evaluation.table import Row


@dataclass(frozen=True, kw_only=True)
class EvaluateConfig:
    """What is measured; radii are for pictures of `blur_reference_size` pixels and scale with the size of those at hand."""

    features: str
    blur_kind: str
    blur_radii: tuple[float, ...]
    blur_reference_size: int
    inception_splits: int
    kid_subsets: int
    kid_subset_size: int
    bootstrap: int

    def __post_init__(self) -> None:
        for name, known in (("features", NETWORKS), ("blur_kind", KINDS)):
            if getattr(self, name) not in known:
                raise ValueError(f"{name}: {getattr(self, name)!r} is not known; known: {', '.join(sorted(known))}")
        if list(self.blur_radii) != sorted(set(self.blur_radii)) or self.blur_radii[:1] != (0,):
            raise ValueError(f"blur_radii must rise from 0 (where reranking is measured), got {list(self.blur_radii)}")
        limits = {"blur_reference_size": 1, "inception_splits": 1, "kid_subsets": 1, "kid_subset_size": 2, "bootstrap": 2}
        for name, least in limits.items():
            if getattr(self, name) < least:
                raise ValueError(f"{name} must be at least {least}, got {getattr(self, name)}")


class ReferenceSet:
    """Real images (M, H, W, 3) uint8 that samples are compared with; their features are taken once a radius, for all models."""

    def __init__(self, images: np.ndarray, extractor: Extractor, config: EvaluateConfig, *, name: str = "all") -> None:
        self.images, self.extractor, self.config, self.name = images, extractor, config, name
        self._known: dict[float, tuple[np.ndarray, FrechetReference]] = {}

    def at(self, radius: float) -> tuple[np.ndarray, FrechetReference]:
        """Features (M, d) at one of the configured radii, and the reference side of FID."""
        if radius not in self._known:
            features, _ = self.extract(self.images, radius)
            self._known[radius] = features, FrechetReference(features)
        return self._known[radius]

    def extract(self, images: np.ndarray, radius: float) -> tuple[np.ndarray, np.ndarray]:
        """Features and logits of `images` after the blur that the reference gets."""
        if images.shape[1:] != self.images.shape[1:]:
            sizes = f"samples are {images.shape[1:]} and the reference is {self.images.shape[1:]}"
            raise ValueError(f"{sizes}: bring both to one size")
        scaled = scaled_radius(radius, images.shape[1], self.config.blur_reference_size)
        return self.extractor(blur(images, self.config.blur_kind, scaled))


def evaluate_model(
    images: np.ndarray, reference: ReferenceSet, *, domain: str, model: str, candidates: int, seed: int
) -> list[Row]:
    """All metrics at all radii of a model's images (one a caption), each the best of `candidates`."""
    winners = np.arange(len(images))[:, None]
    return evaluate_reranked(images, winners, (candidates,), reference, domain=domain, model=model, seed=seed)


def evaluate_reranked(
    images: np.ndarray,
    winners: np.ndarray,
    sweep: tuple[int, ...],
    reference: ReferenceSet,
    *,
    domain: str,
    model: str,
    seed: int,
) -> list[Row]:
    """All metrics for every N of `sweep` at radius 0 and for the largest N at the other radii.

    `images` (M, H, W, 3) are distinct; `winners` (C, len(sweep)) says which of them won for each caption and N. A caption keeps
    its winner for many N, so features are taken of distinct images and gathered.
    """
    rows = []
    for radius in reference.config.blur_radii:
        columns = list(range(len(sweep))) if radius == 0 else [int(np.argmax(sweep))]
        distinct = np.unique(winners[:, columns])
        features, logits = reference.extract(images[distinct], radius)
        for column in columns:
            chosen = np.searchsorted(distinct, winners[:, column])
            for metric, value, deviation in metrics(features[chosen], logits[chosen], reference, radius, seed):
                rows.append(
                    {
                        "domain": domain,
                        "model": model,
                        "features": reference.extractor.name,
                        "blur_kind": reference.config.blur_kind,
                        "blur_radius": radius,
                        "reference": reference.name,
                        "candidates": sweep[column],
                        "num_samples": len(chosen),
                        "metric": metric,
                        "value": value,
                        "low": value - deviation,
                        "high": value + deviation,
                    }
                )
    return rows


def metrics(
    features: np.ndarray, logits: np.ndarray, reference: ReferenceSet, radius: float, seed: int
) -> Iterator[tuple[str, float, float]]:
    """(metric, value, one standard deviation): over bootstrap resamples for FID, over splits for IS, over subsets for KID."""
    config = reference.config
    reference_features, frechet_reference = reference.at(radius)
    resamples = fid_resamples(features, frechet_reference, num_resamples=config.bootstrap, seed=seed)
    yield "fid", frechet_reference.distance(features), float(resamples.std(ddof=1))
    yield "inception_score", *inception_score(logits, splits=config.inception_splits)
    yield "kid", *kid(features, reference_features, subsets=config.kid_subsets, subset_size=config.kid_subset_size)
