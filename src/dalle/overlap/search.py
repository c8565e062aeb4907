"""The nearest of all training images to every evaluation image: exact, the same on every machine and in blocks of any size.

Embeddings are whole numbers, unit vectors times UNIT. Sums of their products stay below 2^24, up to where float32 counts
without rounding, so no order of summation, block or thread can change a similarity, and equal ones are equal.
"""

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
import torch

UNIT = 4000  # a cosine is known to about 1e-4
QUERIES = 4096  # that are compared with a block at a time


class Nearest(NamedTuple):
    """Of Q images: the position of the nearest training image (int64), its cosine (float64), and whether it is mirrored."""

    index: np.ndarray
    similarity: np.ndarray
    mirrored: np.ndarray


def quantized(embeddings: torch.Tensor) -> np.ndarray:
    """Unit vectors (N, D), for which D < 30,000, as int16."""
    return (embeddings.float() * UNIT).round().to(torch.int16).cpu().numpy()


def nearest(
    queries: np.ndarray, mirrored: np.ndarray, training: Iterable[np.ndarray], *, block_size: int, device: str = "cpu"
) -> Nearest:
    """Search int16 (Q, D) and the same images `mirrored` among int16 blocks (n, D) of training images.

    A mirrored copy is a copy. A network trained to overlook mirroring found fewer of both kinds: pictures of one world may
    differ in what stands left and right alone. Among equals the first training image is taken, unmirrored before mirrored.
    """
    # GPUs may multiply float32 with fewer digits than it has
    exact = torch.float32 if torch.device(device).type == "cpu" else torch.float64
    both = torch.from_numpy(np.concatenate([queries, mirrored])).to(device, exact)
    best = torch.full((len(both),), -torch.inf, dtype=exact, device=device)
    index, seen = torch.full((len(both),), -1, device=device), 0
    for chunk in training:
        for block in torch.from_numpy(chunk).split(block_size):
            columns = block.to(device, exact).T
            for start in range(0, len(both), QUERIES):
                rows = slice(start, start + QUERIES)
                products = both[rows] @ columns
                first = products.argmax(dim=1)  # of several maxima the first
                value = products.gather(1, first[:, None])[:, 0]
                nearer = value > best[rows]
                best[rows] = torch.where(nearer, value, best[rows])
                index[rows] = torch.where(nearer, first + seen, index[rows])
            seen += len(block)
    if not seen:
        raise ValueError("there are no training images to search")
    best, index = best.view(2, -1).cpu(), index.view(2, -1).cpu()
    by_mirror = (best[1] > best[0]) | ((best[1] == best[0]) & (index[1] < index[0]))
    best, index = torch.where(by_mirror, best[1], best[0]), torch.where(by_mirror, index[1], index[0])
    similarity = (best.double() / UNIT**2).clamp(max=1)
    return Nearest(index.numpy(), similarity.numpy(), by_mirror.numpy())
