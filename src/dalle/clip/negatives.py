"""Captions that are wrong by one word, for a contrastive model to tell from the right ones (as in NegCLIP, Yuksekgonul 2023).

What may stand in a word's place is learnt from the captions: words of one kind occur between the same neighbours. So the
negatives know no grammar and serve photographs as they serve the miniature world.
"""

import re
from collections import Counter
from collections.abc import Iterable, Sequence

import numpy as np

MAX_WORDS = 2000  # the most frequent ones take part
MIN_COUNT = 5
MAX_SHARE = 0.4  # words in more of the captions than this are articles and the like
MIN_SIMILARITY = 0.45  # cosine of two words' neighbours
MAX_SIMILAR = 16  # words that one may be replaced by
SWAP_SHARE = 0.6  # of the negatives where words can be swapped; the rest replace one

_WORD = re.compile("[a-z]+")
_EDGE = "."  # the neighbour of a caption's first and last word


class WordNegatives:
    """`negative(caption, rng)`: the caption with two of its words swapped, or with one replaced by a word of its kind."""

    def __init__(self, captions: Sequence[str]) -> None:
        self.similar = similar_words(captions)

    def negative(self, caption: str, rng: np.random.Generator) -> str | None:
        """None where no word of the caption has another of its kind."""
        places = [match for match in _WORD.finditer(caption.lower()) if match[0] in self.similar]
        if not places:
            return None
        swaps = [
            (first, second)
            for index, first in enumerate(places)
            for second in places[index + 1 :]
            if second[0] in self.similar[first[0]] or first[0] in self.similar[second[0]]
        ]
        if swaps and rng.random() < SWAP_SHARE:
            first, second = swaps[int(rng.integers(len(swaps)))]
            return _with(caption, [(first, second[0]), (second, first[0])])
        place = places[int(rng.integers(len(places)))]
        choices = self.similar[place[0]]
        return _with(caption, [(place, choices[int(rng.integers(len(choices)))])])


def similar_words(captions: Iterable[str]) -> dict[str, tuple[str, ...]]:
    """For every word that has some: other words that occur between the same neighbours, the most similar first."""
    sentences = [_WORD.findall(caption.lower()) for caption in captions]
    counts = Counter(word for words in sentences for word in set(words))
    most = MAX_SHARE * len(sentences)
    # ties are broken by the alphabet, so that the order of the captions does not matter
    ranked = sorted(counts, key=lambda word: (-counts[word], word))
    words = [word for word in ranked if MIN_COUNT <= counts[word] <= most][:MAX_WORDS]
    if len(words) < 2:
        return {}
    vectors = _context_vectors(sentences, words)
    similarity = vectors @ vectors.T
    np.fill_diagonal(similarity, 0)
    similar = {}
    for index, word in enumerate(words):
        order = np.argsort(-similarity[index], kind="stable")[:MAX_SIMILAR]
        chosen = tuple(words[other] for other in order if similarity[index, other] >= MIN_SIMILARITY)
        if chosen:
            similar[word] = chosen
    return similar


def _context_vectors(sentences: list[list[str]], words: list[str]) -> np.ndarray:
    """Unit vectors (V, 2 * contexts) float32: positive pointwise mutual information with the word before and the word after."""
    row = {word: index for index, word in enumerate(words)}
    contexts: dict[str, int] = {}
    pairs: Counter[tuple[int, int, int]] = Counter()
    for sentence in sentences:
        padded = [_EDGE, *sentence, _EDGE]
        for before, word, after in zip(padded, padded[1:], padded[2:], strict=False):
            if word in row:
                for side, neighbour in enumerate((before, after)):
                    pairs[row[word], side, contexts.setdefault(neighbour, len(contexts))] += 1
    table = np.zeros((len(words), 2, len(contexts)), np.float32)
    for (word, side, context), count in pairs.items():
        table[word, side, context] = count
    table = table.reshape(len(words), -1)
    expected = table.sum(1, keepdims=True) * table.sum(0, keepdims=True) / table.sum()
    information = np.log(np.maximum(table, 1e-9) / np.maximum(expected, 1e-9))
    positive = np.where(table > 0, np.maximum(information, 0), 0)
    return positive / np.maximum(np.linalg.norm(positive, axis=1, keepdims=True), 1e-9)


def _with(caption: str, replacements: list[tuple[re.Match[str], str]]) -> str:
    """The caption with other words at these places, which are in order."""
    parts, end = [], 0
    for place, word in replacements:
        parts += [caption[end : place.start()], word]
        end = place.end()
    return "".join([*parts, caption[end:]])
