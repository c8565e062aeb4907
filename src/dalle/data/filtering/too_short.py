"""Rule: the caption is too short to describe anything."""

import re

import pandas as pd

# a word is a run of letters; in scripts written without spaces every letter counts as one
_UNSPACED = "\u0e00-\u0eff\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff"
_WORD = re.compile(rf"[{_UNSPACED}]|[^\W\d_{_UNSPACED}]+(?:['’][^\W\d_]+)?")


def too_short(manifest: pd.DataFrame, min_words: int, min_characters: int) -> pd.Series:
    """Captions with fewer words, or fewer characters other than spaces; digits and punctuation are no words."""

    def explain(caption: str) -> str:
        num_words = len(_WORD.findall(caption))
        if num_words < min_words:
            return f"{num_words} words, fewer than {min_words}"
        num_characters = len(caption) - caption.count(" ")
        return f"{num_characters} characters, fewer than {min_characters}" if num_characters < min_characters else ""

    return manifest.caption.map(explain)
