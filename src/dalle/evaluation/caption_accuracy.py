"""How often an image shows everything its caption says, told by the miniature world's readers of scenes and of birds."""

from collections.abc import Mapping, Sequence

import numpy as np
from scipy.stats import binomtest

from dalle.evaluation.table import Row
from dalle.miniworld.bird_reader import BirdQuery
from dalle.miniworld.caption_reader import Query, read_caption, shown

NUM_SHIFTS = 20  # orders in which images meet captions of others
OBJECTS = ("one_object", "two_objects", "three_objects")  # the captions of scenes by how many they name


def caption_accuracy(images: np.ndarray, captions: Sequence[str]) -> tuple[float, int]:
    """The share of images uint8 (N, S, S, 3) that show their caption, and how many captions could be read.

    Captions that say nothing of a scene or of a bird's colours are left out; without any other the share is NaN.
    """
    queries = [read_caption(caption) for caption in captions]
    told = shown(images, queries)[_readable(queries)]
    return (float(np.mean(told)) if len(told) else float("nan")), len(told)


def caption_accuracy_rows(
    told: np.ndarray, captions: Sequence[str], sweep: tuple[int, ...], *, domain: str, model: str
) -> list[Row]:
    """Rows for every N of `sweep` from `told` bool (C, len(sweep)): whether what was chosen among N shows its caption.

    References are parts of the captions: all, those with a combination never seen in training, and scenes of one, two and
    three objects. low and high are the Wilson 95 % interval. A part without a readable caption has no row.
    """
    return list(_rows(told, captions, sweep, metric="caption_accuracy", domain=domain, model=model))


def oracle_rows(told: np.ndarray, captions: Sequence[str], sweep: tuple[int, ...], *, domain: str, model: str) -> list[Row]:
    """Whether any of the first N candidates shows its caption, from `told` bool (C, candidates): what a choice could reach."""
    any_of = np.stack([told[:, :number].any(axis=1) for number in sweep], axis=1)
    return list(_rows(any_of, captions, sweep, metric="oracle_accuracy", domain=domain, model=model))


def chance_rows(images: np.ndarray, captions: Sequence[str], *, domain: str, model: str, candidates: int) -> list[Row]:
    """How often images, one a caption, show another's caption: what accuracy would be if captions decided nothing.

    The mean over shifts of the images against the captions, at most `NUM_SHIFTS`, evenly spread over all that leave no image
    with its own; low and high are the least and the most of a shift. Captions that cannot be read, or fewer than two, give
    no row.
    """
    queries = [read_caption(caption) for caption in captions]
    pictures, asked = images[_readable(queries)], [query for query in queries if query is not None]
    number = len(asked)
    if number < 2:
        return []
    shifts = np.unique(np.linspace(1, number - 1, min(number - 1, NUM_SHIFTS)).round().astype(int)).tolist()
    shares = [float(shown(np.roll(pictures, -shift, axis=0), asked).mean()) for shift in shifts]
    row = _row(np.zeros(number, dtype=bool), metric="caption_accuracy_shuffled", domain=domain, model=model)
    values = {"value": float(np.mean(shares)), "low": min(shares), "high": max(shares)}
    return [{**row, "reference": "all", "candidates": candidates, **values}]


def caption_parts(queries: Sequence[Query | None]) -> Mapping[str, np.ndarray]:
    """Which captions belong to each part, bool (C,), by the name that the table gives it; empty parts are left out."""
    scenes = [None if query is None or isinstance(query, BirdQuery) else query for query in queries]
    numbers = np.array([0 if scene is None else len(scene.objects) for scene in scenes])
    parts = {"all": _readable(queries), "heldout": np.array([scene is not None and scene.heldout for scene in scenes])}
    parts |= {name: numbers == number for number, name in enumerate(OBJECTS, start=1)}
    return {name: members for name, members in parts.items() if members.any()}


def _readable(queries: Sequence[Query | None]) -> np.ndarray:
    return np.array([query is not None for query in queries], dtype=bool)


def _rows(told: np.ndarray, captions: Sequence[str], sweep: tuple[int, ...], **over: str):
    if told.shape != (len(captions), len(sweep)):
        raise ValueError(f"expected a reading for each of {len(captions)} captions and {len(sweep)} N, got {told.shape}")
    for part, members in caption_parts([read_caption(caption) for caption in captions]).items():
        for column, number in enumerate(sweep):
            yield {**_row(told[members, column], **over), "reference": part, "candidates": number}


def _row(told: np.ndarray, **over: str) -> Row:
    interval = binomtest(int(told.sum()), len(told)).proportion_ci(method="wilson")
    return {
        **over,
        "features": "reader",
        "blur_kind": "none",
        "blur_radius": 0.0,
        "num_samples": len(told),
        "value": float(told.mean()),
        "low": float(interval.low),
        "high": float(interval.high),
    }
