"""Planned pairs with their pictures and names that tell nothing; the key that leads from those names back to the models."""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from dalle.human_eval.pairs import PlacedPair, SheetPlan
from dalle.human_eval.pictures import PairPictures

KEY_COLUMNS = ("sheet_id", "batch", "position", "pair_id", "kind", "caption_id", "caption", "left", "right")
ID_DIGITS = 12


@dataclass(frozen=True, kw_only=True)
class ShownPair:
    """All that a rater may learn of a pair: PNG bytes, a caption, and a name for the vote."""

    pair_id: str
    caption: str
    left: bytes
    right: bytes


@dataclass(frozen=True, kw_only=True)
class ShownSheet:
    sheet_id: str
    pairs: tuple[ShownPair, ...]


def shown_sheet(plan: SheetPlan, pictures: PairPictures, seed: int) -> ShownSheet:
    pairs = [
        _shown(pair, f"{seed} {plan.sheet_id} {position}", pictures) for position, pair in enumerate(plan.pairs, start=1)
    ]
    return ShownSheet(sheet_id=plan.sheet_id, pairs=tuple(pairs))


def write_key(plans: Sequence[SheetPlan], pair_ids: Sequence[Sequence[str]], path: Path) -> None:
    """What every pair of every sheet really was, not for raters; `pair_ids` are those of each sheet's pairs."""
    rows = list(_key_rows(plans, pair_ids))
    key = pd.DataFrame(rows, columns=list(KEY_COLUMNS))
    assert key["pair_id"].is_unique
    key.to_csv(path, index=False, lineterminator="\n")


def _shown(pair: PlacedPair, place: str, pictures: PairPictures) -> ShownPair:
    """The id covers place, caption and pixels: a vote for pictures that were made anew since fits no pair of the new key."""
    left, right = pictures.left(pair), pictures.right(pair)
    digest = hashlib.sha256(f"{place}\0{pair.caption}\0".encode())
    for png in (left, right):
        digest.update(hashlib.sha256(png).digest())
    return ShownPair(pair_id=digest.hexdigest()[:ID_DIGITS], caption=pair.caption, left=left, right=right)


def _key_rows(plans: Sequence[SheetPlan], pair_ids: Sequence[Sequence[str]]) -> Iterator[tuple]:
    for plan, ids in zip(plans, pair_ids, strict=True):
        for position, (pair, pair_id) in enumerate(zip(plan.pairs, ids, strict=True), start=1):
            what = (pair_id, pair.kind, pair.caption_id, pair.caption, pair.left, pair.right)
            yield (plan.sheet_id, plan.batch, position, *what)
