"""Captions as rows of word ids: AttnGAN's rule of what a word is, and a vocabulary of the training captions alone."""

import json
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

END, UNKNOWN = 0, 1
MARKS = ("<end>", "<unknown>")  # no caption's words: those have no brackets


def words_of(caption: str) -> list[str]:
    r"""Runs of letters, digits and underscores (`\w+`) in lower case, less whatever in them is not ASCII; all of it may go."""
    ascii_only = (word.encode("ascii", "ignore").decode() for word in re.findall(r"\w+", caption.lower()))
    return [word for word in ascii_only if word]


@dataclass(frozen=True)
class Vocabulary:
    """The words in the order of their ids, from 0: END, which is also the padding, UNKNOWN, then the captions' own.

    AttnGAN counts words of the test captions in, which then have vectors that nothing has trained, and leaves out others.
    Here a word that training captions do not have, or hardly, becomes UNKNOWN: a sentence keeps its length.
    """

    words: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.words)

    @cached_property
    def _ids(self) -> dict[str, int]:
        return {word: number for number, word in enumerate(self.words)}

    def encode(self, caption: str) -> np.ndarray:
        """The caption's ids (T,) int64, without an end; a caption without any word is one UNKNOWN."""
        return np.array([self._ids.get(word, UNKNOWN) for word in words_of(caption)] or [UNKNOWN], np.int64)

    def save(self, path: Path) -> None:
        path.write_text(json.dumps(self.words, indent=0) + "\n")

    @classmethod
    def load(cls, path: Path) -> "Vocabulary":
        """Read what `save` wrote; anything else is a `ValueError` naming the file and the rule."""
        try:
            words = json.loads(path.read_text(encoding="utf-8"))
        except OSError as error:
            raise ValueError(f"{path}: cannot be read: {error.strerror}") from None
        except ValueError as error:
            raise ValueError(f"{path}: not valid JSON: {error}") from None
        if not isinstance(words, list) or not all(isinstance(word, str) for word in words):
            raise ValueError(f"{path}: must be a list of words")
        if tuple(words[:2]) != MARKS or len(set(words)) != len(words):
            raise ValueError(f"{path}: must begin with {', '.join(MARKS)} and name no word twice")
        return cls(tuple(words))


def build_vocabulary(captions: Iterable[str], min_count: int) -> Vocabulary:
    """All words that occur `min_count` times or more, the most frequent first, equally frequent ones by the alphabet.

    From 2 on, the rarer words are what the vector of UNKNOWN is trained with.
    """
    counts = Counter(word for caption in captions for word in words_of(caption))
    kept = sorted((word for word in counts if counts[word] >= min_count), key=lambda word: (-counts[word], word))
    return Vocabulary((*MARKS, *kept))


def shortened(word_ids: np.ndarray, max_words: int, rng: np.random.Generator) -> np.ndarray:
    """At most `max_words` of a caption's ids: a longer one loses a random choice of its words, the others keep their order."""
    if len(word_ids) <= max_words:
        return word_ids
    return word_ids[np.sort(rng.permutation(len(word_ids))[:max_words])]


def padded(rows: Sequence[np.ndarray], length: int) -> Tensor:
    """Word ids (B, length) int64, each row filled with END."""
    word_ids = torch.full((len(rows), length), END)
    for target, row in zip(word_ids, rows, strict=True):
        target[: len(row)] = torch.from_numpy(row)
    return word_ids
