"""Which pairs of pictures stand on which sheet, in which order and on which side: a pure function of the seed (App. F)."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import pandas as pd

from dalle.randomness import numpy_generator

Kind = Literal["pair", "repeat", "attention_noise", "attention_caption"]
REAL, NOISE, OTHER = "real", "noise", "other"
NUM_OTHERS = 32  # real pictures of which the one least like the caption stands beside its own


@dataclass(frozen=True, kw_only=True)
class SheetConfig:
    """`model` beside `rival`, `pairs_per_sheet` captions at most a sheet, every caption on the sheets of `raters` people.

    Each sheet also holds `attention_checks`, whose answers are known, and `repeats` of its own pairs with the sides swapped.
    """

    model: str
    rival: str
    pairs_per_sheet: int
    raters: int
    attention_checks: int
    repeats: int

    def __post_init__(self) -> None:
        for name, least in (("pairs_per_sheet", 2), ("raters", 1), ("attention_checks", 0), ("repeats", 0)):
            if getattr(self, name) < least:
                raise ValueError(f"{name} must be at least {least}, got {getattr(self, name)}")
        if self.model == self.rival:
            raise ValueError(f"model and rival are both {self.model}: nothing would be compared")
        if self.repeats > self.pairs_per_sheet // 2:
            raise ValueError(f"repeats is {self.repeats}: at most half of pairs_per_sheet, {self.pairs_per_sheet}, come again")
        if self.attention_checks > self.pairs_per_sheet:
            raise ValueError(f"attention_checks is {self.attention_checks}: more than pairs_per_sheet, {self.pairs_per_sheet}")


@dataclass(frozen=True, kw_only=True)
class PlacedPair:
    """A pair at its place. `left`, `right`: names of models, or real, noise, other; `other_image_id` only where other is."""

    kind: Kind
    caption_id: str
    image_id: str
    caption: str
    left: str
    right: str
    other_image_id: str | None = None


@dataclass(frozen=True, kw_only=True)
class SheetPlan:
    """`s03r2` is batch 3 for rater 2: pairs in the order they are shown."""

    sheet_id: str
    batch: int
    rater: int
    pairs: tuple[PlacedPair, ...]


def plan_sheets(captions: pd.DataFrame, controls: pd.DataFrame, config: SheetConfig, seed: int) -> list[SheetPlan]:
    """All sheets, batch by batch. Both frames have `caption_id, image_id, caption`; `captions` are those compared, in order.

    `controls` are all captions of real pictures, of which the attention checks take those outside their batch. Of every
    sheet's pairs half have `model` on the left, and of every pair's sheets too, both to one.
    """
    num_batches = -(-len(captions) // config.pairs_per_sheet)
    batches = [captions.iloc[rows] for rows in np.array_split(np.arange(len(captions)), num_batches)]
    if len(batches[-1]) < max(2, 2 * config.repeats, config.attention_checks):
        raise ValueError(
            f"human_eval: {len(captions)} captions make {num_batches} batches, the smallest of {len(batches[-1])}: too few for "
            f"{config.repeats} repeats and {config.attention_checks} attention_checks a sheet"
        )
    texts = controls.groupby("image_id", sort=False)["caption"].agg(" ".join)
    sheets = []
    for number, batch in enumerate(batches, start=1):
        model_left = balanced_sides(len(batch), config.raters, numpy_generator(seed, "human_eval sides", number))
        outside = controls[~controls["image_id"].isin(batch["image_id"])].drop_duplicates("image_id")
        for rater in range(1, config.raters + 1):
            sheet_id = f"s{number:02d}r{rater}"
            rng = numpy_generator(seed, "human_eval order", sheet_id)
            pairs = list(_model_pairs(batch, config, model_left[:, rater - 1]))
            pairs = with_repeats([pairs[index] for index in rng.permutation(len(pairs))], config.repeats, rng)
            checks = list(attention_checks(outside, texts, config.attention_checks, rater, rng))
            pairs = with_checks(pairs, checks, rng)
            sheets.append(SheetPlan(sheet_id=sheet_id, batch=number, rater=rater, pairs=tuple(pairs)))
    return sheets


def balanced_sides(num_pairs: int, raters: int, rng: np.random.Generator) -> np.ndarray:
    """bool (num_pairs, raters), every row and every column half True, to one.

    Pairs are taken two and two: where one is True the other is False, so that columns balance whatever the rows are.
    """
    sides = np.empty((num_pairs, raters), bool)
    order = rng.permutation(num_pairs)
    for first, second in zip(order[::2], [*order[1::2], order[-1]], strict=False):
        row = np.arange(raters) < raters // 2 + (rng.integers(2) if raters % 2 else 0)
        sides[second] = rng.permutation(row)
        sides[first] = ~sides[second] if first != second else sides[second]
    return sides


def with_repeats(pairs: Sequence[PlacedPair], num_repeats: int, rng: np.random.Generator) -> list[PlacedPair]:
    """Some pairs of the first half come again in the second, sides swapped, with at least one pair in between."""
    half = len(pairs) // 2
    repeated = [_swapped(pairs[index]) for index in rng.permutation(half)[:num_repeats]]
    return _inserted(pairs, repeated, spread(half, len(pairs), num_repeats, rng))


def with_checks(pairs: Sequence[PlacedPair], checks: Sequence[PlacedPair], rng: np.random.Generator) -> list[PlacedPair]:
    """The checks spread over the sheet, never first."""
    return _inserted(pairs, checks, spread(0, len(pairs), len(checks), rng))


def spread(low: int, high: int, count: int, rng: np.random.Generator) -> list[int]:
    """`count` different integers of [low, high), one from each of as many equal stretches."""
    assert count <= high - low
    edges = [low + (high - low) * index // count for index in range(count + 1)] if count else []
    return [int(rng.integers(start, stop)) for start, stop in zip(edges, edges[1:], strict=False)]


def attention_checks(
    controls: pd.DataFrame, texts: Mapping[str, str], number: int, rater: int, rng: np.random.Generator
) -> Iterator[PlacedPair]:
    """Real pictures beside noise and beside real pictures of other captions, in turn; the real one is on either side in turn.

    `controls` has one caption an image; `texts` is all that is said of each image.
    """
    if number and len(controls) < number + 1:
        raise ValueError(
            f"human_eval: {number} attention checks a sheet need as many real pictures outside its batch, and one more; "
            f"there are {len(controls)}: lower attention_checks or pairs_per_sheet"
        )
    order, start = rng.permutation(len(controls)), int(rng.integers(2))
    for index in range(number):
        own, others = controls.iloc[order[index]], controls.iloc[[*order[:index], *order[index + 1 :]][-NUM_OTHERS:]]
        of_noise = (index + rater) % 2 == 1
        beside = NOISE if of_noise else OTHER
        left, right = (REAL, beside) if (index + start) % 2 == 0 else (beside, REAL)
        yield PlacedPair(
            kind="attention_noise" if of_noise else "attention_caption",
            caption_id=own["caption_id"],
            image_id=own["image_id"],
            caption=own["caption"],
            left=left,
            right=right,
            other_image_id=None if of_noise else _least_like(own["caption"], others["image_id"], texts),
        )


def _least_like(caption: str, image_ids: Sequence[str], texts: Mapping[str, str]) -> str:
    """The image of whose captions the fewest words are in `caption`: the check must have one right answer."""
    words = _words(caption)
    return min(image_ids, key=lambda image_id: len(words & _words(texts[image_id])))


def _words(text: str) -> set[str]:
    return set(re.findall(r"\w+", text.lower()))


def _model_pairs(batch: pd.DataFrame, config: SheetConfig, model_left: np.ndarray) -> Iterator[PlacedPair]:
    names = config.model, config.rival
    columns = (batch[name] for name in ("caption_id", "image_id", "caption"))
    for caption_id, image_id, caption, first in zip(*columns, model_left, strict=True):
        left, right = names if first else names[::-1]
        yield PlacedPair(kind="pair", caption_id=caption_id, image_id=image_id, caption=caption, left=left, right=right)


def _swapped(pair: PlacedPair) -> PlacedPair:
    return replace(pair, kind="repeat", left=pair.right, right=pair.left)


def _inserted(pairs: Sequence[PlacedPair], added: Sequence[PlacedPair], after: Sequence[int]) -> list[PlacedPair]:
    """`added[i]` right behind `pairs[after[i]]`."""
    following = dict(zip(after, added, strict=True))
    return [placed for index, pair in enumerate(pairs) for placed in (pair, following.get(index)) if placed is not None]
