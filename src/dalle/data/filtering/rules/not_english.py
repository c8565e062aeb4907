"""Rule: the caption is not English, by cld3, which the paper names, where cld3 can be trusted."""

import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass

import gcld3
import pandas as pd

from dalle.data.filtering.english_words import ENGLISH_WORDS, SHARED_WORDS

ORDER = 50
WORDS = "in another language"
MAX_BYTES = 1000  # of a caption that cld3 looks at

# in Latin letters, and each on a thousandth of the web's pages or more; Bosnian and Malay as their neighbours' doubles
_COMMON = frozenset("bs ca cs da de es et fi fr hr hu id it lt lv ms nl no pl pt ro sk sl sv tr vi".split())
_MIN_LETTERS_IF_RARE = 30

_WORD = re.compile(r"[^\W\d_]+(?:['’-][^\W\d_]+)*")


@dataclass(frozen=True, kw_only=True)
class Config:
    """cld3 is believed from `min_probability` on, and on captions of at least `min_characters` letters."""

    min_probability: float
    min_characters: int

    def __post_init__(self) -> None:
        if not 0 <= self.min_probability <= 1:
            raise ValueError(f"min_probability must be from 0 to 1, got {self.min_probability}")
        if self.min_characters < 0:
            raise ValueError(f"min_characters must not be negative, got {self.min_characters}")


def explain(pairs: pd.DataFrame, config: Config) -> list[str]:
    """Captions mostly in letters that are not Latin, and those that cld3 reliably takes for another language.

    On a few words cld3 is sure and wrong ("red circle" is Javanese to it), and to it all languages are equally likely. So its
    word does not count against captions of which at least a third of the words are common in English and in no other language,
    and for a language that the web hardly has it takes 30 letters without one such word.
    """
    detector = gcld3.NNetLanguageIdentifier(0, MAX_BYTES)
    details = {caption: explain_caption(caption, detector, config) for caption in dict.fromkeys(pairs.caption)}
    return [details[caption] for caption in pairs.caption]


def num_foreign_to_cld3(captions: Iterable[str], config: Config) -> int:
    """How many captions cld3 alone would drop: what the other half of the rule is worth."""
    detector = gcld3.NNetLanguageIdentifier(0, MAX_BYTES)
    return sum(_foreign_language(caption, detector, config) is not None for caption in captions)


def explain_caption(caption: str, detector: gcld3.NNetLanguageIdentifier, config: Config) -> str:
    letters = "".join(filter(str.isalpha, caption[:MAX_BYTES]))
    num_foreign = 0 if letters.isascii() else sum(not _is_latin(letter) for letter in letters)
    if num_foreign > len(letters) / 2:
        return f"{num_foreign} of {len(letters)} letters are not Latin"
    if len(letters) < config.min_characters:
        return ""
    words = [word for word in _WORD.findall(caption[:MAX_BYTES].lower()) if word not in SHARED_WORDS]
    num_english = sum(word in ENGLISH_WORDS for word in words)
    if 3 * num_english >= len(words):
        return ""
    guess = _foreign_language(caption, detector, config)
    if guess is None:
        return ""
    if guess.language not in _COMMON and (num_english or len(letters) < _MIN_LETTERS_IF_RARE):
        return ""
    return f"cld3: {guess.language}, {guess.probability:.2f}"


def _foreign_language(caption: str, detector: gcld3.NNetLanguageIdentifier, config: Config):
    """What cld3 takes the caption for, None for English or if it is not sure."""
    guess = detector.FindLanguage(caption)
    sure = guess.is_reliable and guess.probability >= config.min_probability
    return guess if sure and guess.language != "en" else None


def _is_latin(letter: str) -> bool:
    return letter.isascii() or unicodedata.name(letter, "").startswith(("LATIN", "FEMININE", "MASCULINE"))
