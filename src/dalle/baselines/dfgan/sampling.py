"""A trained DF-GAN -> one picture a caption."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from scipy.stats import truncnorm

from dalle.baselines.dfgan.model import DFGANConfig, Generator
from dalle.randomness import numpy_generator
from dalle.training.model_folder import load_model
from dalle.training.precision import Precision, autocast


def load_generator(folder: Path) -> Generator:
    return load_model(Generator, DFGANConfig, folder)


@torch.inference_mode()
def generate(
    generator: Generator,
    sentences: np.ndarray,
    caption_ids: Sequence[str],
    *,
    truncation: float,
    seed: int,
    batch_size: int,
    device: str,
    precision: Precision = "fp32",
) -> np.ndarray:
    """Images uint8 (C, H, W, 3) for sentences float32 (C, D); a picture depends on its caption, its id and the seed alone."""
    generator = generator.to(device, memory_format=torch.channels_last).eval()
    noise = np.stack([truncated_noise(generator.config.noise_size, truncation, seed, name) for name in caption_ids])
    images = []
    for start in range(0, len(sentences), batch_size):
        rows = slice(start, start + batch_size)
        with autocast(device, precision):
            batch = generator(torch.from_numpy(noise[rows]).to(device), torch.from_numpy(sentences[rows]).to(device))
        images.append(((batch.float() + 1) * 127.5).round().clamp(0, 255).byte().permute(0, 2, 3, 1).cpu().numpy())
    return np.concatenate(images)


def truncated_noise(size: int, truncation: float, seed: int, caption_id: str) -> np.ndarray:
    """`truncation` times a standard normal that is cut at two deviations, float32 (size,); the original samples with 0.88."""
    generator = numpy_generator(seed, "noise", caption_id)
    return (truncation * truncnorm.rvs(-2, 2, size=size, random_state=generator)).astype(np.float32)
