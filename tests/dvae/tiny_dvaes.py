"""dVAEs, configurations and pictures small enough for a test."""

import torch
from torch import Tensor

from dalle.dvae.model import DVAE, DVAEConfig
from dalle.dvae.train import TrainDVAEConfig
from dalle.dvae.vq import VQConfig
from dalle.dvae.warm_start import WarmStartConfig
from dalle.training.loop import OptimConfig
from dalle.training.schedules import Schedule

SIZES = {"codebook_size": 12, "num_groups": 3, "blocks_per_group": 2, "hidden_width": 8, "codebook_width": 6, "post_gain": 0.3}


def tiny_config(**changes) -> DVAEConfig:
    return DVAEConfig(**{"image_size": 16, **SIZES, **changes})


def tiny_dvae(seed: int = 0, **changes) -> DVAE:
    """Biases are drawn as well, so that a forgotten one shows."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        dvae = DVAE(tiny_config(**changes))
        with torch.no_grad():
            for parameter in dvae.parameters():
                if parameter.ndim == 1:
                    parameter.normal_(std=0.2)
    return dvae.eval()


def blobs(num: int, seed: int, size: int = 16) -> Tensor:
    """Images (num, 3, size, size): a disc of one colour on a ground of another."""
    generator = torch.Generator().manual_seed(seed)
    colours = torch.rand(2, num, 3, 1, 1, generator=generator)
    middle = size * torch.rand(2, num, 1, 1, 1, generator=generator)
    radius = size * (0.2 + 0.2 * torch.rand(num, 1, 1, 1, generator=generator))
    rows, columns = torch.arange(size)[:, None], torch.arange(size)
    inside = (rows - middle[0]) ** 2 + (columns - middle[1]) ** 2 < radius**2
    return torch.where(inside, colours[0], colours[1])


def constant(value: float) -> Schedule:
    return Schedule(shape="constant", start=value, end=value, updates=1, warmup_updates=0)


def train_config(
    updates: int, *, warm_updates: int = 0, validate_every: int = 1000, rate: float = 4e-3, **changes
) -> TrainDVAEConfig:
    """A 16-pixel image becomes 8 x 8 of 32 codes; schedules have the paper's shapes, beta its weight a code."""
    optim = OptimConfig(
        updates=updates,
        batch_size=16,
        shards=2,
        learning_rate=Schedule(shape="cosine", start=rate, end=rate / 10, updates=60, warmup_updates=5),
        plateau=None,
        betas=(0.9, 0.999),
        eps=1e-8,
        weight_decay=1e-4,
        clip_norm=1.0,
        ema_decay=0.9,
        ema_every=1,
        precision="fp32",
        validate_every=validate_every,
    )
    k_means = {"sharpness": 2.0, "bottleneck_noise": 0.1, "num_batches": 2, "kmeans_iterations": 5}
    values = {
        "init": "scratch",
        "init_sha256": None,
        "quantizer": "gumbel",
        "likelihood": "logit_laplace",
        "schedule_clock": 1.0,
        "vq": VQConfig(commitment=0.25, codebook_decay=0.9, restart_below=0.05),
        "fid_features": None,
        "codebook_size": 32,
        "num_groups": 2,
        "blocks_per_group": 1,
        "hidden_width": 16,
        "codebook_width": 16,
        "post_gain": 1.0,
        "crop_scale": (1.0, 1.125),
        "beta": Schedule(shape="cosine", start=0.0, end=0.4, updates=15, warmup_updates=0),
        "tau": Schedule(shape="cosine", start=1.0, end=1 / 16, updates=40, warmup_updates=0),
        "warm_start": WarmStartConfig(updates=warm_updates, **k_means),
        "optim": optim,
    }
    return TrainDVAEConfig(**{**values, **changes})
