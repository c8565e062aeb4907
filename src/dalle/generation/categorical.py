"""Draws from categorical distributions that are decided by a given number each, so that no draw depends on another."""

import torch
from torch import Tensor


def draw_indices(probabilities: Tensor, uniform: Tensor) -> Tensor:
    """Indices (...) of `probabilities` (..., K): the inverse of the cumulative distribution at `uniform` (...) in [0, 1).

    Summed in float64; the probabilities of a row need not sum to 1, and what has none is never drawn.
    """
    cumulative = probabilities.cumsum(-1, dtype=torch.float64)
    total = cumulative[..., -1:]
    # strictly below the total, so that the index found has a probability above 0
    target = torch.minimum(uniform[..., None].to(total) * total, torch.nextafter(total, torch.zeros_like(total)))
    return torch.searchsorted(cumulative, target, right=True).squeeze(-1)
