"""The numbers of Fig. 9: all metrics of all models over blur radii and over the number of reranked candidates (PAPER 6).

Radius by radius: the reference's features are taken once for all models, and every metric is read off one pass. What a
finished radius gave is kept, so that a killed sweep goes on with the next.
"""

import hashlib
import json
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol as Interface
from typing import Self

import numpy as np
import torch

from dalle.evaluation.blur import blur, filter_of, scaled_radius
from dalle.evaluation.extractors import FeatureExtractor
from dalle.evaluation.protocol import Protocol
from dalle.evaluation.samples import RerankedSamples
from dalle.evaluation.scores import Reference, Score, class_score, class_score_over
from dalle.evaluation.table import Row
from dalle.progress import track

DVAE, RECONSTRUCTIONS = "dvae", "reconstructions"  # the model and the reference
CHUNK = 64  # images that one core reads, blurs and extracts at a time


class Images(Interface):
    """uint8 (N, H, W, 3): an array, or what is read from files when it is indexed."""

    shape: tuple[int, ...]

    def __len__(self) -> int: ...

    def __getitem__(self, rows: np.ndarray | slice) -> np.ndarray: ...


@dataclass(frozen=True, kw_only=True)
class Samples:
    """A model's distinct images (M, H, W, 3) and which of them were chosen for each of C captions.

    `winners` (C, len(sweep)) are rows of `images`: the best among the first N candidates, for each N of `sweep`. `subsets`
    (R, C, len(sweep)) are the winners among random parts of the pool; no parts, or two and more.
    """

    model: str
    images: Images
    winners: np.ndarray
    sweep: tuple[int, ...]
    subsets: np.ndarray

    @classmethod
    def single(cls, model: str, images: Images, candidates: int = 1) -> Self:
        """One image a caption: the only one, or the best of so many, of which the others are not at hand."""
        winners = np.arange(len(images))[:, None]
        none = np.empty((0, *winners.shape), np.int64)
        return cls(model=model, images=images, winners=winners, sweep=(candidates,), subsets=none)

    @classmethod
    def ranked(cls, model: str, found: RerankedSamples) -> Self:
        """Winners as they lie on disk, without random parts of the pool."""
        none = np.empty((0, *found.winners.shape), np.int64)
        return cls(model=model, images=found.images, winners=found.winners, sweep=found.sweep, subsets=none)


@dataclass(frozen=True, kw_only=True)
class Originals:
    """The reference images (M, H, W, 3); `overlapping`, bool (M,), are in the training set too, None where nobody looked.

    `reconstructions` are what the dVAE leaves of each, where there is one: they are scored as the model `dvae`, and they are
    a second reference, from which samples are as far as they are from what the codes can say.
    """

    images: Images
    overlapping: np.ndarray | None
    reconstructions: Images | None = None

    @property
    def members(self) -> dict[str, np.ndarray]:
        """Rows of each reference by its name in the table: `all`, and `no_overlap` where it is known."""
        members = {"all": np.arange(len(self.images))}
        if self.overlapping is not None:
            members["no_overlap"] = np.flatnonzero(~self.overlapping)
        return members


def sweep(
    models: Sequence[Samples],
    originals: Originals,
    extractor: FeatureExtractor,
    protocol: Protocol,
    *,
    domain: str,
    seed: int,
    finished: Path,
) -> list[Row]:
    """Rows for every N at the first and the last radius, for each model's largest N between them, against every reference.

    All models bring the same number of images: FID at unequal N cannot be compared. `finished` is a folder where the rows of
    a radius are kept, under a hash of everything that they depend on.
    """
    check(models, originals, protocol)
    key = fingerprint(models, originals, extractor, protocol, seed)
    rows = []
    for radius in protocol.blur_radii:
        file = finished / f"{key}-{radius:g}.json"
        if file.is_file():
            scored = json.loads(file.read_text())
        else:
            scored = list(_at_radius(models, originals, extractor, protocol, radius, seed))
            finished.mkdir(parents=True, exist_ok=True)
            file.with_suffix(".tmp").write_text(json.dumps(scored))
            os.replace(file.with_suffix(".tmp"), file)
        rows += [{"domain": domain, **row} for row in scored]
    return rows


def check(models: Sequence[Samples], originals: Originals, protocol: Protocol) -> None:
    """A ValueError for sets that cannot be compared, or are too small for the protocol; nothing long has begun."""
    names = [model.model for model in models] + ([DVAE] if originals.reconstructions is not None else [])
    if len(set(names)) < len(names):
        raise ValueError(f"two models have one name: {', '.join(names)}")
    for model in models:
        if model.images.shape[1:] != originals.images.shape[1:]:
            sizes = f"are {model.images.shape[1:]} and the reference is {originals.images.shape[1:]}"
            raise ValueError(f"samples of {model.model} {sizes}: bring both to one size")
    numbers = {model.model: len(model.winners) for model in models}
    if len(set(numbers.values())) > 1:
        said = ", ".join(f"{model} {number}" for model, number in numbers.items())
        raise ValueError(f"models bring different numbers of images ({said}), and FID falls with them: bring equally many")
    for rows in originals.members.values():
        protocol.check_sizes(len(models[0].winners), len(rows))


def fingerprint(
    models: Sequence[Samples], originals: Originals, extractor: FeatureExtractor, protocol: Protocol, seed: int
) -> str:
    """A hash of the pictures, the protocol and the network, which is known by what it makes of one picture."""
    digest = hashlib.blake2b(repr((protocol, seed, extractor.name)).encode(), digest_size=16)
    digest.update(extractor(originals.images[:1])[0].tobytes())
    for rows in originals.members.values():
        digest.update(rows.tobytes())
    decoded = [] if originals.reconstructions is None else [originals.reconstructions]
    for images in (originals.images, *decoded, *(model.images for model in models)):
        for start in range(0, len(images), CHUNK):
            digest.update(np.ascontiguousarray(images[start : start + CHUNK]))
    for model in models:
        digest.update(repr((model.model, model.sweep, model.winners.shape, model.subsets.shape)).encode())
        digest.update(np.ascontiguousarray(model.winners))
        digest.update(np.ascontiguousarray(model.subsets))
    return digest.hexdigest()


def extract(
    images: Images,
    rows: np.ndarray,
    extractor: FeatureExtractor,
    protocol: Protocol,
    radius: float,
    *,
    is_reference: bool,
) -> tuple[np.ndarray, np.ndarray]:
    """Features and logits of rows of `images` after the blur of their side.

    Every core has images of its own from reading to features: that is faster than all cores on one batch, and no bit depends
    on how many cores there are.
    """
    pixels = scaled_radius(radius, images.shape[1], protocol.blur_reference_size)
    kind = filter_of(protocol.blur_kind, is_reference=is_reference)

    def of_chunk(start: int) -> tuple[np.ndarray, np.ndarray]:
        chunk = images[rows[start : start + CHUNK]]
        return extractor(blur(chunk, kind, pixels) if kind else chunk)

    starts = range(0, len(rows), CHUNK)
    what, unit = f"{extractor.name}, radius {radius:g}", f"x {CHUNK} images"
    pool = ThreadPoolExecutor(torch.get_num_threads(), initializer=torch.set_num_threads, initargs=(1,))
    try:
        parts = list(track(pool.map(of_chunk, starts), what=what, unit=unit, total=len(starts)))
    finally:
        pool.shutdown(cancel_futures=True)  # a stopped sweep ends with the chunks at hand
    features, logits = (np.concatenate(column) for column in zip(*parts, strict=True))
    return features, logits


def _at_radius(
    models: Sequence[Samples],
    originals: Originals,
    extractor: FeatureExtractor,
    protocol: Protocol,
    radius: float,
    seed: int,
) -> Iterator[Row]:
    """The rows of one radius, without their domain."""
    everything = np.arange(len(originals.images))
    features, _ = extract(originals.images, everything, extractor, protocol, radius, is_reference=True)
    references = {
        name: Reference(features[rows], protocol, resampled=name == "all") for name, rows in originals.members.items()
    }
    over = {"features": extractor.name, "blur_kind": protocol.blur_kind, "blur_radius": radius}
    # what more candidates buy shows without blur, or where blur hides what the codes cannot say
    at_an_end = radius in (protocol.blur_radii[0], protocol.blur_radii[-1])
    if originals.reconstructions is not None:
        features, logits = extract(originals.reconstructions, everything, extractor, protocol, radius, is_reference=False)
        number = len(models[0].winners)
        if number <= len(features):
            shared = {"model": DVAE, **over, "candidates": 1, "num_samples": number}
            yield from _rows(features[:number], logits[:number], references, protocol, seed, shared)
        if at_an_end:
            references[RECONSTRUCTIONS] = Reference(features, protocol, spread_out=False)
    for model in models:
        columns = list(range(len(model.sweep))) if at_an_end else [int(np.argmax(model.sweep))]
        subsets = model.subsets if radius == 0 else model.subsets[:0]
        distinct = np.unique(np.concatenate([model.winners[:, columns].ravel(), subsets.ravel()]))
        features, logits = extract(model.images, distinct, extractor, protocol, radius, is_reference=False)
        for column in columns:
            chosen = np.searchsorted(distinct, model.winners[:, column])
            parts = [np.searchsorted(distinct, part[:, column]) for part in subsets]
            shared = {"model": model.model, **over, "candidates": model.sweep[column], "num_samples": len(chosen)}
            yield from _rows(features[chosen], logits[chosen], references, protocol, seed, shared)
            if parts:
                scores = class_score_over([logits[part] for part in parts], protocol)
                yield from (_row(score, "all", shared) for score in scores)
                for name, reference in references.items():
                    scores = reference.scores_over([features[part] for part in parts])
                    yield from (_row(score, name, shared) for score in scores)


def _rows(
    features: np.ndarray,
    logits: np.ndarray,
    references: dict[str, Reference],
    protocol: Protocol,
    seed: int,
    shared: Row,
) -> Iterator[Row]:
    yield from (_row(score, "all", shared) for score in class_score(logits, protocol))
    for name, reference in references.items():
        yield from (_row(score, name, shared) for score in reference.scores(features, seed))


def _row(score: Score, reference: str, shared: Row) -> Row:
    return {**shared, "reference": reference, **score._asdict()}
