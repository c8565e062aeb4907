"""A dVAE on held-out images: reconstruction, both bounds, use of the codebook, and a picture of it."""

import numpy as np
import torch
from torch import Tensor

from dalle.dvae.likelihood import NLLS, LikelihoodName, map_pixels
from dalle.dvae.loss import kl_to_uniform
from dalle.dvae.model import DVAE
from dalle.dvae.quality import codebook_use, psnr_db, ssim
from dalle.dvae.relaxation import gumbel_softmax
from dalle.randomness import torch_generator
from dalle.training.precision import autocast

BATCH = 64


@torch.no_grad()
def validation_metrics(
    dvae: DVAE, images: Tensor, tau: float, seed: int, device: str, precision: str, likelihood: LikelihoodName
) -> dict[str, float]:
    """Reconstruction, bounds and codebook use over `images` (N, 3, H, W).

    PSNR and SSIM use the most probable codes, as everything downstream does. Both bounds are at beta = 1, in nats a
    subpixel, on the same Gumbel noise: relaxed codes at `tau`, and hard codes, which is the true bound; the gap is the first
    less the second. With likelihood `mse` they are bounds only as far as its variance, that of the images validated
    together, may be fitted to them.
    """
    nll_of, totals = NLLS[likelihood], dict[str, float]()
    counts = torch.zeros(dvae.config.codebook_size, dtype=torch.int64)
    for index, batch in enumerate(images.split(BATCH)):
        batch = batch.to(device)
        generator = torch_generator(seed, "validation", index, device=device)
        with autocast(device, precision):
            code_logits = dvae.code_logits(batch)
            soft_codes = gumbel_softmax(code_logits, tau, generator)
            relaxed = nll_of(dvae.likelihood_maps(soft_codes), map_pixels(batch))
            true = nll_of(dvae.likelihood_maps_of_codes(soft_codes.argmax(1)), map_pixels(batch))
            codes = code_logits.argmax(1)
            reconstructed = dvae.decode(codes)
        kl = kl_to_uniform(code_logits)
        kl_a_subpixel = kl.mean() * codes[0].numel() / batch[0].numel()
        values = {
            "valid/psnr_db": psnr_db(batch, reconstructed).mean(),
            "valid/ssim": ssim(batch, reconstructed).mean(),
            "valid/elbo_relaxed": -(relaxed.mean() + kl_a_subpixel),
            "valid/elbo_true": -(true.mean() + kl_a_subpixel),
            "valid/kl_nats_per_code": kl.mean(),
        }
        for name, value in values.items():
            totals[name] = totals.get(name, 0.0) + float(value) * len(batch)
        counts += torch.bincount(codes.flatten().cpu(), minlength=len(counts))
    used, perplexity = codebook_use(counts)
    means = {name: total / len(images) for name, total in totals.items()}
    means["valid/elbo_gap"] = means["valid/elbo_relaxed"] - means["valid/elbo_true"]
    return {**means, "valid/codebook_used": used, "valid/codebook_perplexity": perplexity}


@torch.no_grad()
def reconstructions(dvae: DVAE, images: Tensor, device: str) -> np.ndarray:
    """What the most probable codes of `images` (N, 3, H, W) in [0, 1] keep of them: uint8 (N, H, W, 3), never in bf16."""
    pictures = np.empty((len(images), *images.shape[2:], 3), np.uint8)
    for start in range(0, len(images), BATCH):
        pictures[start : start + BATCH] = as_uint8(dvae.decode(dvae.encode(images[start : start + BATCH].to(device))))
    return pictures


def comparison_picture(dvae: DVAE, images: Tensor, device: str) -> np.ndarray:
    """Originals above their reconstructions, uint8 (2 H, N W, 3)."""
    rows = as_uint8(images), reconstructions(dvae, images, device)
    return np.concatenate([np.concatenate(row, axis=1) for row in rows], axis=0)


def as_uint8(images: Tensor) -> np.ndarray:
    """(N, 3, H, W) in [0, 1] -> (N, H, W, 3), rounded."""
    return (images * 255).round().clamp(0, 255).permute(0, 2, 3, 1).to(torch.uint8).cpu().numpy()
