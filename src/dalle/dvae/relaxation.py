"""From code logits to codes: the Gumbel-softmax relaxation in training, one-hot codes at evaluation (PAPER 2.1)."""

import torch
import torch.nn.functional as F
from torch import Tensor


def gumbel_softmax(code_logits: Tensor, tau: float, generator: torch.Generator | None) -> Tensor:
    """softmax((logits + g) / tau) over K with g ~ Gumbel(0, 1): `soft_codes` (B, K, G, G), float32.

    The noise comes from `generator`, so an update is a function of its number alone.
    """
    if tau <= 0:
        raise ValueError(f"tau must be above 0, got {tau}: the relaxation divides by it")
    cells = code_logits.movedim(1, -1).float()
    # filled in the order of memory: laid out like the logits, the noise would depend on which kernels made these
    noise = torch.rand(cells.shape, generator=generator, device=cells.device)  # several times as fast as exponential_
    noise = noise.log_().neg_().log_()  # minus Gumbel; a uniform 0 becomes infinity, and its code has no share
    return torch.softmax((cells - noise) / tau, dim=-1).movedim(-1, 1)


def straight_through(soft_codes: Tensor) -> Tensor:
    """One-hot codes forward (up to the rounding of a difference), the gradient of `soft_codes` (B, K, G, G) backward."""
    hard_codes = one_hot_codes(soft_codes.argmax(1), soft_codes.shape[1])
    return hard_codes + soft_codes - soft_codes.detach()


def one_hot_codes(codes: Tensor, codebook_size: int) -> Tensor:
    """`codes` (B, G, G) -> (B, K, G, G) float32 of zeros and ones."""
    return F.one_hot(codes, codebook_size).permute(0, 3, 1, 2).float()
