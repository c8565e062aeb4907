"""Pictures as generation makes them, for a contrastive model that will judge generated pictures (PAPER 5).

A reranker trained on real pictures alone has seen neither what a dVAE leaves of them nor what a prior gets wrong, and among
many candidates the one that exploits this wins.
"""

import os
from pathlib import Path
from typing import Protocol

import numpy as np
import torch

from dalle.data.bpe import CaptionTokenizer, pad_text_tokens
from dalle.data.token_store import TokenStore
from dalle.dvae.model import DVAE
from dalle.generation.decoding import decode_codes
from dalle.generation.sampling import sample_candidates
from dalle.prior.kinds import AnyPrior
from dalle.randomness import derive_seed, numpy_generator

MIN_SHARE, MAX_SHARE = 0.25, 0.65  # of the grid's side, the sides of the rectangle that another picture's codes fill


class PoolSizes(Protocol):
    """How many pairs a pool holds, and how many negatives of either kind each has."""

    pictures: int
    mixed: int
    sampled: int


def make_pool(
    store: TokenStore,
    tokenizer: CaptionTokenizer,
    prior: AnyPrior,
    dvae: DVAE,
    sizes: PoolSizes,
    *,
    seed: int,
    batch_size: int,
    device: str,
    work_folder: Path,
) -> tuple[np.ndarray, np.ndarray]:
    """(rows of the store (P,), images uint8 (P, 1 + mixed + sampled, H, W, 3)): what the dVAE leaves of a pair, then negatives.

    The pairs are drawn from the split 'train', as many as it holds at most. The pictures are a file of `work_folder`, mapped
    into memory: it outlives a killed process, and what was made is not made again.
    """
    train = np.flatnonzero(store.pairs["split"].to_numpy() == "train")
    rows = np.sort(numpy_generator(seed, "pool").permutation(train)[: sizes.pictures])
    path = work_folder / "pool.npy"
    if not path.is_file():
        codes = store.image_tokens[rows, np.zeros(len(rows), dtype=int)]
        kinds = [codes[:, None]]
        kinds += [mixed_codes(codes, store.grid_size, number, seed)[:, None] for number in range(sizes.mixed)]
        if sizes.sampled:
            captions = store.pairs.iloc[rows]
            encoded = [tokenizer.encode(caption) for caption in captions["caption"]]
            text_tokens, _ = pad_text_tokens(encoded, prior.config.text_length, tokenizer.vocab_size)
            kinds.append(
                sample_candidates(
                    prior,
                    torch.from_numpy(text_tokens),
                    captions["pair_id"].tolist(),
                    num_candidates=sizes.sampled,
                    temperature=1.0,
                    top_k=None,
                    top_p=None,
                    seed=derive_seed(seed, "pool"),
                    batch_size=batch_size,
                    device=device,
                )
            )
        image_tokens = np.concatenate(kinds, axis=1)
        images = decode_codes(dvae, image_tokens.reshape(-1, image_tokens.shape[-1]), batch_size, device)
        temporary = path.with_suffix(".partial.npy")
        np.save(temporary, images.reshape(*image_tokens.shape[:2], *images.shape[1:]))
        os.replace(temporary, path)
    return rows, np.load(path, mmap_mode="r")


def mixed_codes(codes: np.ndarray, grid_size: int, number: int, seed: int) -> np.ndarray:
    """Malformed pictures: each row of codes (P, G*G) with a rectangle from another row in the same place."""
    rng = numpy_generator(seed, "mixed", number)
    low, high = max(1, round(MIN_SHARE * grid_size)), max(1, round(MAX_SHARE * grid_size))
    others = codes[rng.permutation(len(codes))].reshape(-1, grid_size, grid_size)
    mixed = codes.reshape(-1, grid_size, grid_size).copy()
    for image, other in zip(mixed, others, strict=True):
        height, width = rng.integers(low, high + 1, 2)
        top, left = rng.integers(grid_size - height + 1), rng.integers(grid_size - width + 1)
        image[top : top + height, left : left + width] = other[top : top + height, left : left + width]
    return mixed.reshape(codes.shape)
