"""Rule: the caption is not English, by the frequencies of its words; or by cld3, which the paper names."""

import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import gcld3
import pandas as pd

from dalle.data.filtering.word_frequencies import nearest_language

ORDER = 50
WORDS = "in another language"
MAX_BYTES = 1000  # of a caption that is looked at


@dataclass(frozen=True, kw_only=True)
class Config:
    """From `margin` powers of ten on a caption is nearer to another language; None asks cld3 alone, as the paper does.

    cld3 is believed from `min_probability` on. Captions of fewer than `min_characters` letters are not judged.
    """

    margin: float | None
    min_characters: int
    min_probability: float

    def __post_init__(self) -> None:
        if self.margin is not None and not 0 <= self.margin <= 8:
            raise ValueError(f"margin must be from 0 to 8 powers of ten, or null for cld3 alone, got {self.margin}")
        if self.min_characters < 0:
            raise ValueError(f"min_characters must not be negative, got {self.min_characters}")
        if not 0 <= self.min_probability <= 1:
            raise ValueError(f"min_probability must be from 0 to 1, got {self.min_probability}")


def explain(pairs: pd.DataFrame, config: Config) -> list[str]:
    """Captions mostly in letters that are not Latin, and those whose words are much commoner in another language.

    On a few words cld3 is sure and wrong ("red circle" is Javanese to it), so it decides only where `margin` is None.
    """
    captions = list(dict.fromkeys(pairs.caption))
    details = dict(zip(captions, explain_captions(captions, config), strict=True))
    return [details[caption] for caption in pairs.caption]


def num_foreign_to_cld3(captions: Iterable[str], config: Config) -> int:
    """How many captions cld3 alone would drop: what the other rule is worth."""
    return sum(map(bool, _by_cld3(captions, config)))


def explain_captions(captions: Sequence[str], config: Config) -> list[str]:
    """For each caption why it is dropped, "" to keep it."""
    details, judged = [], []
    for number, caption in enumerate(captions):
        letters = "".join(filter(str.isalpha, caption[:MAX_BYTES]))
        num_foreign = 0 if letters.isascii() else sum(not _is_latin(letter) for letter in letters)
        is_foreign = num_foreign > len(letters) / 2
        details.append(f"{num_foreign} of {len(letters)} letters are not Latin" if is_foreign else "")
        if not is_foreign and len(letters) >= config.min_characters:
            judged.append(number)
    found = (_by_cld3 if config.margin is None else _by_words)([captions[number] for number in judged], config)
    for number, detail in zip(judged, found, strict=True):
        details[number] = detail
    return details


def _by_words(captions: Iterable[str], config: Config) -> list[str]:
    nearest = nearest_language([caption[:MAX_BYTES] for caption in captions])
    return [
        f"wordfreq: {language or 'no known language'}, {margin:.2f} over English" if margin >= config.margin else ""
        for language, margin in nearest
    ]


def _by_cld3(captions: Iterable[str], config: Config) -> list[str]:
    detector = gcld3.NNetLanguageIdentifier(0, MAX_BYTES)
    guesses = map(detector.FindLanguage, captions)
    return [
        f"cld3: {guess.language}, {guess.probability:.2f}"
        if guess.is_reliable and guess.probability >= config.min_probability and guess.language != "en"
        else ""
        for guess in guesses
    ]


def _is_latin(letter: str) -> bool:
    return letter.isascii() or unicodedata.name(letter, "").startswith(("LATIN", "FEMININE", "MASCULINE"))
