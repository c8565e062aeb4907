"""How close reconstructions are to their originals, and how much of the codebook they use."""

import torch
import torch.nn.functional as F
from torch import Tensor


def psnr_db(images: Tensor, reconstructions: Tensor) -> Tensor:
    """Peak signal-to-noise ratio of each image, (B,) decibels; both (B, 3, H, W) in [0, 1]."""
    squared_error = (images - reconstructions).square().flatten(1).mean(1)
    return -10 * torch.log10(squared_error.clamp(min=1e-10))


def ssim(images: Tensor, reconstructions: Tensor) -> Tensor:
    """Structural similarity of each image, (B,), by Wang et al. 2004: Gaussian window of 11 with sigma 1.5, valid area only."""
    offsets = torch.arange(11, dtype=images.dtype, device=images.device) - 5
    window = torch.exp(-offsets.square() / (2 * 1.5**2))
    window = torch.outer(window, window) / window.sum() ** 2
    kernel = window.expand(images.shape[1], 1, 11, 11)

    def smooth(x: Tensor) -> Tensor:
        return F.conv2d(x, kernel, groups=x.shape[1])

    mean_x, mean_y = smooth(images), smooth(reconstructions)
    var_x = smooth(images.square()) - mean_x.square()
    var_y = smooth(reconstructions.square()) - mean_y.square()
    covariance = smooth(images * reconstructions) - mean_x * mean_y
    c1, c2 = 0.01**2, 0.03**2
    luminance = (2 * mean_x * mean_y + c1) / (mean_x.square() + mean_y.square() + c1)
    structure = (2 * covariance + c2) / (var_x + var_y + c2)
    return (luminance * structure).flatten(1).mean(1)


def codebook_use(counts: Tensor) -> tuple[float, float]:
    """(fraction of codes that occur, perplexity = exp of the entropy) from `counts` (K,)."""
    share = counts.double() / counts.sum()
    entropy = -torch.xlogy(share, share).sum()
    return float((counts > 0).double().mean()), float(entropy.exp())
