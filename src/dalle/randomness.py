"""All randomness is a function of a seed and of what is drawn: never of what was drawn before."""

import hashlib
from functools import lru_cache

import numpy as np
import torch


def derive_seed(*parts: int | str) -> int:
    """A 63-bit seed from any number of integers and strings, the same on every machine."""
    digest = hashlib.blake2b("\x1f".join(map(str, parts)).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little") >> 1


def numpy_generator(*parts: int | str) -> np.random.Generator:
    return np.random.default_rng(derive_seed(*parts))


def torch_generator(*parts: int | str, device: torch.device | str = "cpu") -> torch.Generator:
    return torch.Generator(device).manual_seed(derive_seed(*parts))


@lru_cache(maxsize=4)
def epoch_order(num_items: int, epoch: int, seed: int) -> np.ndarray:
    """The permutation of `range(num_items)` that epoch number `epoch` walks through."""
    return numpy_generator(seed, "epoch", epoch).permutation(num_items)


def batch_indices(step: int, *, batch_size: int, num_items: int, seed: int) -> np.ndarray:
    """The items of update number `step` when epochs follow each other without a gap: shape (batch_size,), int64."""
    if num_items < 1:
        raise ValueError("there is nothing to draw batches from")
    positions = np.arange(step * batch_size, (step + 1) * batch_size)
    orders = {epoch: epoch_order(num_items, epoch, seed) for epoch in np.unique(positions // num_items).tolist()}
    return np.array([orders[position // num_items][position % num_items] for position in positions.tolist()])
