"""The distribution of a subpixel given the decoder's maps, and the pixel map that keeps it finite (PAPER A.3)."""

import math
from collections.abc import Callable, Mapping
from typing import Literal

import torch
from torch import Tensor

LikelihoodName = Literal["logit_laplace", "mse"]

LOGIT_LAPLACE_EPS = 0.1


def map_pixels(images: Tensor) -> Tensor:
    """[0, 1] -> [eps, 1 - eps]: the range the likelihood is stated in, and the encoder's input (eq. 3)."""
    return images * (1 - 2 * LOGIT_LAPLACE_EPS) + LOGIT_LAPLACE_EPS


def unmap_pixels(mapped_images: Tensor) -> Tensor:
    """The inverse of `map_pixels`, clamped to [0, 1]."""
    return ((mapped_images - LOGIT_LAPLACE_EPS) / (1 - 2 * LOGIT_LAPLACE_EPS)).clamp(0, 1)


def logit_laplace_nll(maps: Tensor, mapped_images: Tensor) -> Tensor:
    """-ln f(x | mu, b), eq. 2: f = exp(-|logit(x) - mu| / b) / (2 b x (1 - x)); `maps` (B, 6, H, W) holds mu and ln b.

    In nats a subpixel, shape (B, 3, H, W); a density, so it may be negative.
    """
    mu, ln_b = maps.float().chunk(2, dim=1)
    x = mapped_images.float()
    return torch.abs(torch.logit(x) - mu) * torch.exp(-ln_b) + ln_b + torch.log(2 * x * (1 - x))


def mse_nll(maps: Tensor, mapped_images: Tensor) -> Tensor:
    """-ln of a Gaussian around sigmoid(mu) whose one variance is the batch's own mean squared error; in nats, (B, 3, H, W).

    Its mean is 1/2 ln(2 pi e mse), so what it minimises is the squared error, and nothing has to weigh it against the KL.
    The three log-scale maps are not used; images are decoded as with the logit-Laplace.
    """
    squared_error = (torch.sigmoid(maps[:, :3].float()) - mapped_images.float()).square()
    variance = squared_error.detach().mean().clamp(min=1e-8)
    return (squared_error / variance + torch.log(2 * math.pi * variance)) / 2


NLLS: Mapping[LikelihoodName, Callable[[Tensor, Tensor], Tensor]] = {"logit_laplace": logit_laplace_nll, "mse": mse_nll}
