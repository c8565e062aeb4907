"""Pairs of a token store as the tensors a prior reads: training batches, and fixed parts of a split to evaluate on."""

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from dalle.data.bpe import CaptionTokenizer, pad_text_tokens
from dalle.data.text_tokens import refuse_empty
from dalle.data.token_store import TokenStore
from dalle.randomness import batch_indices, numpy_generator

TokenBatch = tuple[Tensor, Tensor]  # text tokens (B, T) and image tokens (B, G*G), int64


class TrainingBatches:
    """Batches as a pure function of the update's number: which pairs, which stored view of each, and BPE dropout."""

    def __init__(
        self,
        store: TokenStore,
        tokenizer: CaptionTokenizer,
        *,
        text_length: int,
        bpe_dropout: float,
        batch_size: int,
        seed: int,
    ) -> None:
        self.store, self.tokenizer, self.text_length, self.bpe_dropout = store, tokenizer, text_length, bpe_dropout
        self.batch_size, self.seed = batch_size, seed
        self.rows = rows_of(store, "train")
        self.captions = store.pairs["caption"].to_numpy(dtype=object)[self.rows]

    def __call__(self, step: int) -> TokenBatch:
        items = batch_indices(step, batch_size=self.batch_size, num_items=len(self.rows), seed=self.seed)
        views = numpy_generator(self.seed, "view", step).integers(self.store.image_tokens.shape[1], size=len(items))
        text = [self._encode(self.captions[item], step, slot) for slot, item in enumerate(items.tolist())]
        text_tokens, _ = pad_text_tokens(text, self.text_length, self.tokenizer.vocab_size)
        return torch.as_tensor(text_tokens), read_image_tokens(self.store, self.rows[items], views)

    def _encode(self, caption: str, step: int, slot: int) -> list[int]:
        rng = numpy_generator(self.seed, "bpe", step, slot)
        return self.tokenizer.encode_with_dropout(caption, self.bpe_dropout, rng)


class EvaluatedPairs:
    """At most `num_pairs` pairs of a split, evenly spread over it: first view, no BPE dropout; iterates over batches.

    `truncated` is the fraction of their captions longer than `text_length` tokens, whose end the prior never sees.
    """

    def __init__(
        self, store: TokenStore, tokenizer: CaptionTokenizer, *, split: str, num_pairs: int, text_length: int, batch_size: int
    ) -> None:
        rows = rows_of(store, split)
        rows = rows[np.linspace(0, len(rows) - 1, min(len(rows), num_pairs)).round().astype(int)]
        text = [tokenizer.encode(caption) for caption in store.pairs["caption"].iloc[rows]]
        text_tokens, num_truncated = pad_text_tokens(text, text_length, tokenizer.vocab_size)
        self.text_tokens, self.truncated, self.batch_size = torch.as_tensor(text_tokens), num_truncated / len(rows), batch_size
        self.image_tokens = read_image_tokens(store, rows, np.zeros(len(rows), dtype=int))

    def __iter__(self) -> Iterator[TokenBatch]:
        yield from zip(self.text_tokens.split(self.batch_size), self.image_tokens.split(self.batch_size), strict=True)


def check_store(store: TokenStore) -> None:
    """A `ValueError` where an image has another number of tokens than the grid has cells, or a split or a caption is empty."""
    num_tokens, num_cells = store.image_tokens.shape[-1], store.grid_size**2
    if num_tokens != num_cells:
        raise ValueError(f"the store holds {num_tokens} tokens an image, its grid of side {store.grid_size} needs {num_cells}")
    for split in ("train", "valid"):
        if not (store.pairs["split"] == split).any():
            raise ValueError(f"the token store has no pairs in the split {split!r}: both 'train' and 'valid' are needed")
    refuse_empty(store.pairs["pair_id"].tolist(), store.pairs["caption"].tolist())


def rows_of(store: TokenStore, split: str) -> np.ndarray:
    """The store's rows in a split, in order."""
    return np.flatnonzero(store.pairs["split"].to_numpy() == split)


def read_image_tokens(store: TokenStore, rows: np.ndarray, views: np.ndarray) -> Tensor:
    """The stored tokens of these rows and views, int64 (B, G*G); one outside the codebook is a `ValueError` naming its pair."""
    image_tokens = np.asarray(store.image_tokens[rows, views]).astype(np.int64)
    bad = np.flatnonzero((image_tokens >= store.codebook_size).any(1))
    if len(bad):
        pair_id, token = store.pairs["pair_id"].iloc[rows[bad[0]]], image_tokens[bad[0]].max()
        raise ValueError(
            f"pair {pair_id!r} holds image token {token}, outside the store's codebook of {store.codebook_size}: "
            "the tokens were made with another dVAE; precompute them again"
        )
    return torch.from_numpy(image_tokens)
