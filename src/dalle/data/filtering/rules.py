"""The rules in the order they are applied, and what they leave of a manifest."""

from collections.abc import Callable
from dataclasses import dataclass

import pandas as pd

from dalle.data.filtering.aspect_ratio import aspect_ratio
from dalle.data.filtering.boilerplate import boilerplate
from dalle.data.filtering.duplicate import duplicate
from dalle.data.filtering.not_english import EnglishConfig, not_english
from dalle.data.filtering.too_short import too_short
from dalle.data.filtering.undecodable import undecodable


@dataclass(frozen=True, kw_only=True)
class FilterConfig:
    """Thresholds of the rules; images that cannot be decoded are always dropped."""

    boilerplate: bool
    min_words: int
    min_characters: int
    min_aspect: float
    max_aspect: float
    english: EnglishConfig | None
    duplicates: bool

    def __post_init__(self) -> None:
        for name in ("min_words", "min_characters"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} must not be negative, got {getattr(self, name)}")
        if not 0 <= self.min_aspect <= 1 <= self.max_aspect:
            raise ValueError(f"min_aspect <= 1 <= max_aspect must hold, got {self.min_aspect} and {self.max_aspect}")


Rule = Callable[[pd.DataFrame, FilterConfig], pd.Series]

# cheap rules first, those that open images last; a file name is boilerplate before it is a single word
RULES: dict[str, Rule] = {
    "boilerplate": lambda manifest, config: boilerplate(manifest) if config.boilerplate else _keep_all(manifest),
    "too_short": lambda manifest, config: too_short(manifest, config.min_words, config.min_characters),
    "aspect_ratio": lambda manifest, config: aspect_ratio(manifest, config.min_aspect, config.max_aspect),
    "not_english": lambda manifest, config: not_english(manifest, config.english) if config.english else _keep_all(manifest),
    "undecodable": lambda manifest, config: undecodable(manifest),
    "duplicate": lambda manifest, config: duplicate(manifest) if config.duplicates else _keep_all(manifest),
}


def filter_pairs(manifest: pd.DataFrame, config: FilterConfig) -> tuple[pd.DataFrame, pd.DataFrame]:
    """(kept pairs, dropped): `dropped` has `pair_id, rule, detail`; both in the manifest's order.

    A pair is dropped by the first rule that objects, later rules do not see it. Nothing left to keep is a `ValueError`.
    """
    if manifest.empty:
        raise ValueError("there are no pairs to filter: the manifest has no rows")
    kept = manifest.reset_index(drop=True)
    dropped = []
    for name, rule in RULES.items():
        details = rule(kept, config) if len(kept) else _keep_all(kept)
        objected = details != ""
        dropped.append(pd.DataFrame({"pair_id": kept.pair_id[objected], "rule": name, "detail": details[objected]}))
        kept = kept[~objected]
    all_dropped = pd.concat(dropped).sort_index().reset_index(drop=True)
    if kept.empty:
        counts = ", ".join(f"{name} {count}" for name, count in count_dropped(all_dropped).items() if count)
        raise ValueError(f"no pair of {len(manifest)} is left ({counts}); loosen the rule that drops most or check the data")
    return kept.reset_index(drop=True), all_dropped


def count_dropped(dropped: pd.DataFrame) -> dict[str, int]:
    """How many pairs each rule dropped, in the order of the rules, zeros included."""
    counts = dropped.rule.value_counts()
    return {name: int(counts.get(name, 0)) for name in RULES}


def _keep_all(manifest: pd.DataFrame) -> pd.Series:
    return pd.Series("", index=manifest.index, dtype=str)
