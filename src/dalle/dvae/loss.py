"""The evidence lower bound of stage 1, scaled as the paper scales it (sec. 2, A.2)."""

import math

import torch
from torch import Tensor

from dalle.dvae.likelihood import NLLS, LikelihoodName, map_pixels


def kl_to_uniform(code_logits: Tensor) -> Tensor:
    """KL(q || uniform) = ln K - H(q) of each cell, (B, G, G) nats in [0, ln K], from the logits at whatever tau."""
    log_q = torch.log_softmax(code_logits.movedim(1, -1).float(), dim=-1)
    return math.log(code_logits.shape[1]) + (log_q.exp() * log_q).sum(-1)


def kl_weight(beta: float, image_size: int, grid_size: int) -> float:
    """What beta becomes once the bound is divided by the number of subpixels: beta / (3 (R / G)^2), beta / 192 in the paper."""
    return beta / (3 * (image_size / grid_size) ** 2)


def negative_elb(
    maps: Tensor, images: Tensor, code_logits: Tensor, beta: float, likelihood: LikelihoodName
) -> tuple[Tensor, Tensor, Tensor]:
    """(loss, nll, kl): E[-ln p(x | z)] + beta KL(q || p) in nats a subpixel; nll a subpixel, kl a code (eq. 1, A.2)."""
    nll = NLLS[likelihood](maps, map_pixels(images)).mean()
    kl = kl_to_uniform(code_logits).mean()
    return nll + kl_weight(beta, images.shape[-1], code_logits.shape[-1]) * kl, nll, kl
