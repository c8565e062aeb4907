"""Rule: the caption is not English, by cld3, which the paper names, where cld3 can be trusted."""

import re
import unicodedata
from dataclasses import dataclass

import gcld3
import pandas as pd

from dalle.data.filtering.english_words import ENGLISH_WORDS, SHARED_WORDS

MAX_BYTES = 1000  # of a caption that cld3 looks at

_WORD = re.compile(r"[^\W\d_]+(?:['’-][^\W\d_]+)*")


@dataclass(frozen=True, kw_only=True)
class EnglishConfig:
    """cld3 is believed from `min_probability` on, and on captions of at least `min_characters` letters."""

    min_probability: float
    min_characters: int

    def __post_init__(self) -> None:
        if not 0 <= self.min_probability <= 1:
            raise ValueError(f"min_probability must be from 0 to 1, got {self.min_probability}")
        if self.min_characters < 0:
            raise ValueError(f"min_characters must not be negative, got {self.min_characters}")


def not_english(manifest: pd.DataFrame, config: EnglishConfig) -> pd.Series:
    """Captions mostly in letters that are not Latin, and those that cld3 reliably takes for another language.

    On a few words cld3 is sure and wrong ("red circle" is Javanese to it), so its word does not count against captions
    of which at least a third of the words are common in English and in no other language.
    """
    detector = gcld3.NNetLanguageIdentifier(0, MAX_BYTES)
    explained = {caption: _explain(caption, detector, config) for caption in manifest.caption.unique()}
    return manifest.caption.map(explained)


def _explain(caption: str, detector: gcld3.NNetLanguageIdentifier, config: EnglishConfig) -> str:
    letters = [character for character in caption[:MAX_BYTES] if character.isalpha()]
    num_foreign = sum(not _is_latin(letter) for letter in letters)
    if num_foreign > len(letters) / 2:
        return f"{num_foreign} of {len(letters)} letters are not Latin"
    if len(letters) < config.min_characters or _looks_english(caption[:MAX_BYTES]):
        return ""
    guess = detector.FindLanguage(caption)
    if guess.language == "en" or not guess.is_reliable or guess.probability < config.min_probability:
        return ""
    return f"{guess.language} with probability {guess.probability:.2f}"


def _looks_english(caption: str) -> bool:
    words = [word for word in _WORD.findall(caption.lower()) if word not in SHARED_WORDS]
    return 3 * sum(word in ENGLISH_WORDS for word in words) >= len(words)


def _is_latin(letter: str) -> bool:
    return letter.isascii() or unicodedata.name(letter, "").startswith(("LATIN", "FEMININE", "MASCULINE"))
