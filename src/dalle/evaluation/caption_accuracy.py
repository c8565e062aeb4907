"""How often an image shows everything its caption says, told by the miniature world's attribute reader."""

from collections.abc import Iterable, Sequence

import numpy as np
from scipy.stats import binomtest

from dalle.evaluation.table import Row
from dalle.miniworld.captions import SceneQuery, parse_caption
from dalle.miniworld.reader import shows

NUM_SHIFTS = 20  # orders in which images meet captions of others


def caption_accuracy(images: np.ndarray, captions: Sequence[str]) -> tuple[float, int]:
    """The share of images uint8 (N, H, W, 3) that show their caption, and how many captions the grammar could read.

    Captions that are not about a scene are left out; without any other the share is NaN.
    """
    shown = judgements(images, [parse_caption(caption) for caption in captions])
    return (float(np.mean(shown)) if len(shown) else float("nan")), len(shown)


def caption_accuracy_rows(
    images: np.ndarray,
    captions: Sequence[str],
    winners: np.ndarray,
    sweep: tuple[int, ...],
    *,
    domain: str,
    model: str,
) -> list[Row]:
    """Rows for every N of `sweep`, over all captions and over those with a combination never seen in training ('heldout').

    `captions` belong to the distinct `images` (M, H, W, 3); `winners` (C, len(sweep)) are rows of both. low and high are the
    Wilson 95 % interval. A split without a readable caption has no row.
    """
    queries = [parse_caption(caption) for caption in captions]
    shown = np.full(len(images), False)
    readable = np.array([query is not None for query in queries])
    shown[readable] = judgements(images, queries)
    splits = {"all": readable, "heldout": np.array([query is not None and query.heldout for query in queries])}
    rows = []
    for split, members in splits.items():
        for column, num_candidates in enumerate(sweep):
            chosen = winners[members[winners[:, column]], column]
            if len(chosen):
                rows.append(_row(shown[chosen], domain=domain, model=model, reference=split, candidates=num_candidates))
    return rows


def chance_rows(images: np.ndarray, captions: Sequence[str], *, domain: str, model: str, candidates: int) -> list[Row]:
    """How often images, one a caption, show another's caption: what accuracy would be if captions decided nothing.

    The mean over shifts of the images against the captions, at most `NUM_SHIFTS`, evenly spread over all that leave no image
    with its own; low and high are the least and the most of a shift. Captions that cannot be read, or fewer than two, give
    no row.
    """
    asked = [(image, query) for image, query in zip(images, map(parse_caption, captions), strict=True) if query is not None]
    if len(asked) < 2:
        return []
    pictures, queries = zip(*asked, strict=True)
    number = len(asked)
    shifts = np.unique(np.linspace(1, number - 1, min(number - 1, NUM_SHIFTS)).round().astype(int)).tolist()
    shares = [float(np.mean(judgements(pictures[shift:] + pictures[:shift], queries))) for shift in shifts]
    row = _row(np.zeros(number, dtype=bool), domain=domain, model=model, reference="all", candidates=candidates)
    values = {"value": float(np.mean(shares)), "low": min(shares), "high": max(shares)}
    return [{**row, "metric": "caption_accuracy_shuffled", **values}]


def judgements(images: Iterable[np.ndarray], queries: Sequence[SceneQuery | None]) -> np.ndarray:
    """Whether each image shows its query, bool; images without a query are left out."""
    asked = [(image, query) for image, query in zip(images, queries, strict=True) if query is not None]
    return np.array([shows(image, query) for image, query in asked], dtype=bool)


def _row(shown: np.ndarray, **over: str | int) -> Row:
    interval = binomtest(int(shown.sum()), len(shown)).proportion_ci(method="wilson")
    return {
        **over,
        "features": "reader",
        "blur_kind": "none",
        "blur_radius": 0.0,
        "num_samples": len(shown),
        "metric": "caption_accuracy",
        "value": float(shown.mean()),
        "low": float(interval.low),
        "high": float(interval.high),
    }
