"""Rule: the caption is too short to describe anything."""

import re
from dataclasses import dataclass

import pandas as pd

ORDER = 20
WORDS = "too few words"

# a word is a run of letters; in scripts written without spaces every letter counts as one
_UNSPACED = "\u0e00-\u0eff\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff"
_WORD = re.compile(rf"[{_UNSPACED}]|[^\W\d_{_UNSPACED}]+(?:['’][^\W\d_]+)?")


@dataclass(frozen=True, kw_only=True)
class Config:
    min_words: int
    min_characters: int

    def __post_init__(self) -> None:
        for name in ("min_words", "min_characters"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} must not be negative, got {getattr(self, name)}")


def explain(pairs: pd.DataFrame, config: Config) -> list[str]:
    """Captions with fewer words, or fewer characters other than spaces; digits and punctuation are no words."""
    return [explain_caption(caption, config) for caption in pairs.caption]


def explain_caption(caption: str, config: Config) -> str:
    num_words = len(_WORD.findall(caption))
    if num_words < config.min_words:
        return f"{num_words} word{'s' * (num_words != 1)}, fewer than {config.min_words}"
    num_characters = len(caption) - caption.count(" ")
    few = num_characters < config.min_characters
    return f"{num_characters} characters, fewer than {config.min_characters}" if few else ""
