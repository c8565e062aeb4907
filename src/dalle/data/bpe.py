"""Byte-pair encoding of captions, as the paper's author describes it, with BPE dropout that can be seeded."""

import heapq
import json
import os
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Literal

import numpy as np
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers

# runs of a-z are words, the only pieces that are merged; any other character stands alone. A space is a token of its own, or
# where spaces are joined, part of the word after it, which halves the tokens of a caption
PIECES = {"separate": "[a-z]+|[^a-z]", "joined": " ?[a-z]+|[^a-z]"}
Spaces = Literal["separate", "joined"]
_WORDS = re.compile("[a-z]+")
# lower-cased UTF-8 holds none of A-Z, nor the bytes that UTF-8 never uses
_BYTES = sorted(set(range(256)) - set(range(ord("A"), ord("Z") + 1)) - {0xC0, 0xC1} - set(range(0xF5, 0x100)))
MIN_VOCAB_SIZE = len(_BYTES)


def _byte_symbols() -> dict[int, str]:
    """The printable character by which the library writes each byte."""
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(256) if byte not in set(printable)]
    return {byte: chr(byte) for byte in printable} | {byte: chr(256 + index) for index, byte in enumerate(others)}


_SYMBOLS = _byte_symbols()


def train_tokenizer(captions: Iterable[str], vocab_size: int, spaces: Spaces = "separate") -> "CaptionTokenizer":
    """Learn merges on the captions until there are `vocab_size` tokens, or no pair of tokens occurs twice.

    The alphabet is the bytes of UTF-8, so no caption loses anything. The result depends on the captions, not on their order.
    """
    if vocab_size < MIN_VOCAB_SIZE:
        raise ValueError(f"vocab_size must be at least {MIN_VOCAB_SIZE}, the bytes of lower-case text, got {vocab_size}")
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(PIECES[spaces]), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        min_frequency=2,
        initial_alphabet=[_SYMBOLS[byte] for byte in _BYTES],
        show_progress=False,
    )
    # words alone: the bytes of one character outside ASCII must not be merged either
    words = (" ".join(_WORDS.findall(caption.lower())) for caption in captions)
    tokenizer.train_from_iterator(words, trainer)
    return CaptionTokenizer(tokenizer)


class CaptionTokenizer:
    """Captions to ids and back, in lower case; ids from `vocab_size` on are left for padding."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer
        written = json.loads(tokenizer.to_str())
        model = written["model"]
        self._pieces = re.compile(written["pre_tokenizer"]["pretokenizers"][0]["pattern"]["Regex"])
        vocabulary: dict[str, int] = model["vocab"]
        self._byte_ids = {byte: vocabulary[_SYMBOLS[byte]] for byte in _BYTES}
        byte_of = {symbol: byte for byte, symbol in _SYMBOLS.items()}
        self._token_bytes = {index: bytes(byte_of[symbol] for symbol in token) for token, index in vocabulary.items()}
        # (left id, right id) -> (rank, id of both together)
        self._merges = {
            (vocabulary[left], vocabulary[right]): (rank, vocabulary[left + right])
            for rank, (left, right) in enumerate(model["merges"])
        }
        self._cache: dict[str, list[int]] = {}

    @classmethod
    def load(cls, folder: Path | str) -> "CaptionTokenizer":
        path = Path(folder) / "tokenizer.json"
        if not path.is_file():
            raise ValueError(f"{path}: missing; a tokenizer's folder holds tokenizer.json")
        try:
            return cls(Tokenizer.from_str(path.read_text()))
        except Exception as error:  # the library raises bare Exception
            raise ValueError(f"{path}: not a tokenizer written by this program: {error!r}") from None

    def save(self, folder: Path | str) -> None:
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        temporary = folder / "tokenizer.json.partial"
        temporary.write_text(self._tokenizer.to_str(pretty=True) + "\n")
        os.replace(temporary, folder / "tokenizer.json")

    @property
    def vocab_size(self) -> int:
        return len(self._token_bytes)

    def encode(self, caption: str) -> list[int]:
        """The ids of the lower-cased caption; each id is below `vocab_size`."""
        ids: list[int] = []
        for piece in self._split(caption):
            if piece not in self._cache:
                self._cache[piece] = self._encode_piece(piece, 0.0, None)
            ids += self._cache[piece]
        return ids

    def encode_with_dropout(self, caption: str, dropout: float, rng: np.random.Generator) -> list[int]:
        """As `encode`, but every possible merge is left out with probability `dropout` at each step (Provilkov et al. 2020)."""
        if not 0 <= dropout <= 1:
            raise ValueError(f"dropout must be from 0 to 1, got {dropout}")
        if dropout == 0:
            return self.encode(caption)
        return [token for piece in self._split(caption) for token in self._encode_piece(piece, dropout, rng)]

    def decode(self, ids: Iterable[int]) -> str:
        """The text of the ids; padding is left out, bytes that are no UTF-8 become U+FFFD."""
        return b"".join(self._token_bytes.get(int(index), b"") for index in ids).decode("utf-8", "replace")

    def _split(self, caption: str) -> list[str]:
        return self._pieces.findall(caption.lower())

    def _encode_piece(self, piece: str, dropout: float, rng: np.random.Generator | None) -> list[int]:
        """Merge the best pair, over and over. Each step goes through the pairs from the best on, and leaves each out by chance.

        A heap of pairs and a linked list of tokens make this n log n: captions may hold one word of 20,000 letters.
        """
        tokens: list[int | None] = [self._byte_ids[byte] for byte in piece.encode("utf-8", "replace")]
        after, before = list(range(1, len(tokens) + 1)), list(range(-1, len(tokens) - 1))
        heap: list[tuple[int, int, int, int, int]] = []

        def offer(left: int) -> None:
            right = after[left] if left >= 0 else len(tokens)
            if right < len(tokens):
                merge = self._merges.get((tokens[left], tokens[right]))
                if merge is not None:
                    heapq.heappush(heap, (merge[0], left, tokens[left], tokens[right], merge[1]))

        for left in range(len(tokens)):
            offer(left)
        left_out = []
        while heap:
            pair = heapq.heappop(heap)
            _, left, first, second, merged = pair
            right = after[left]
            if tokens[left] != first or right >= len(tokens) or tokens[right] != second:
                continue  # one of the two is part of another token by now
            if rng is not None and rng.random() < dropout:
                left_out.append(pair)
                continue
            tokens[left], tokens[right] = merged, None
            after[left] = after[right]
            if after[right] < len(tokens):
                before[after[right]] = left
            offer(left)
            offer(before[left])
            for pair in left_out:  # the next step may take them again
                heapq.heappush(heap, pair)
            left_out = []
        return [token for token in tokens if token is not None]


def pad_text_tokens(token_lists: Sequence[Sequence[int]], text_length: int, vocab_size: int) -> tuple[np.ndarray, int]:
    """(int64 (N, T) text tokens, how many captions were cut to T): position i without a token holds `vocab_size + i`."""
    text_tokens = np.tile(np.arange(vocab_size, vocab_size + text_length, dtype=np.int64), (len(token_lists), 1))
    for row, tokens in zip(text_tokens, token_lists, strict=True):
        row[: len(tokens)] = tokens[:text_length]
    return text_tokens, sum(len(tokens) > text_length for tokens in token_lists)
