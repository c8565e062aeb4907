"""How much commoner a text's words are in another language of Latin letters than in English, by wordfreq's lists."""

import re
import unicodedata
from collections.abc import Iterable, Sequence
from functools import cache

import numpy as np

# all that wordfreq has in Latin letters; `nb` is Norwegian, `sh` Bosnian, Croatian, Serbian
LANGUAGES = tuple("ca cs da de es fi fil fr hu id is it lt lv ms nb nl pl pt ro sh sk sl sv tr vi".split())

# Frequencies are hundredths of a power of ten, whole numbers, so that sums are exact. English is the long list of 300,000
# words, down to -800; the others are short ones, down to -600. A word that is not listed stands at the end of English, and
# half a power of ten below the others': it is more likely a word of theirs, or of a language without a list.
_ENGLISH = ("en", "large", -800)
_UNLISTED = -650

_WORD = re.compile(r"[^\W\d_]+(?:'[^\W\d_]+)*")


def nearest_language(texts: Sequence[str]) -> list[tuple[str, float]]:
    """For each text the language other than English that it is nearest to, and how much nearer than to English.

    The number is the mean over the words of log10(frequency there / frequency in English), negative for English. The language
    is "" where no word is in any list but the English; a text without words has ("", -inf).
    """
    words_of = [_words(text) for text in texts]
    lengths = np.array([len(words) for words in words_of], dtype=np.int64)
    margins, nearest = np.full(len(texts), -np.inf), np.full(len(texts), "", dtype=object)
    spoken = lengths > 0
    if spoken.any():
        lengths = lengths[spoken]
        numbers: dict[str, int] = {}
        rows = np.array([numbers.setdefault(word, len(numbers)) for words in words_of for word in words])
        starts = np.cumsum(lengths) - lengths
        english = _sums(*_ENGLISH, numbers, rows, starts)
        best, names = lengths * _UNLISTED, np.full(len(lengths), "", dtype=object)
        for language in LANGUAGES:
            sums = _sums(language, "small", _UNLISTED, numbers, rows, starts)
            nearer = sums > best
            best[nearer], names[nearer] = sums[nearer], language
        margins[spoken], nearest[spoken] = (best - english) / (100 * lengths), names
    return list(zip(nearest.tolist(), margins.tolist(), strict=True))


def _sums(
    language: str, wordlist: str, unlisted: int, words: Iterable[str], rows: np.ndarray, starts: np.ndarray
) -> np.ndarray:
    """Of each text the sum of its words' log frequencies; `rows` are the texts' words, one text after the other."""
    frequencies = _log_frequencies(language, wordlist)
    of_word = np.array([frequencies.get(word, unlisted) for word in words], dtype=np.int64)
    return np.add.reduceat(of_word[rows], starts)


def _words(text: str) -> list[str]:
    """In the form that the lists have them in."""
    composed = text if text.isascii() else unicodedata.normalize("NFC", text).replace("’", "'")
    return _WORD.findall(composed.casefold())


@cache
def _log_frequencies(language: str, wordlist: str) -> dict[str, int]:
    import wordfreq  # here, because every stage checks params.yaml with the rules, and one reads captions

    frequencies: dict[str, int] = {}
    for below, words in enumerate(wordfreq.get_frequency_list(language, wordlist)):
        frequencies.update(dict.fromkeys(words, -below))
    wordfreq.get_frequency_list.cache_clear()  # wordfreq would keep a second copy
    return frequencies
