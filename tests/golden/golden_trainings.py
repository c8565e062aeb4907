"""The trainings, so small that 20 updates take a second, each a function of its `train_*` section and a seed.

Sizes are this file's own and not those of the other tests: whoever changes a tiny model there must not change a curve here.
Where rounding would grow, the settings are tame: with Adam's usual eps, larger steps, a sharp codebook or a ResNet's batch
normalisation, two CPUs part by per cents within 20 updates, through the sign of gradients that ought to be zero and points
that change their cluster.
"""

import dataclasses
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch
from golden_world import golden_pairs, golden_store

from dalle.clip.model import TowerSizes
from dalle.clip.train import NegativesConfig, TrainClipConfig, train_clip
from dalle.data.bpe import train_tokenizer
from dalle.data.images import ImageBatches, dvae_crop, load_evaluation_images
from dalle.dvae.train import TrainDVAEConfig, train_dvae
from dalle.dvae.vq import VQConfig
from dalle.dvae.warm_start import WarmStartConfig
from dalle.prior.pixelcnn import PixelCNNSizes
from dalle.prior.train import TrainPriorConfig, train_prior
from dalle.training.checkpoint import Checkpoint
from dalle.training.log import MemoryLog
from dalle.training.loop import OptimConfig, RunOptions
from dalle.training.schedules import Schedule

Points = dict[int, dict[str, float]]  # update -> metric -> value
UPDATES = 20
OPTIONS = RunOptions(device="cpu", data_workers=1, log_every=1, checkpoint_seconds=1e9)


def cosine(start: float, end: float, updates: int, warmup_updates: int = 0) -> Schedule:
    return Schedule(shape="cosine", start=start, end=end, updates=updates, warmup_updates=warmup_updates)


def optim(**changes: Any) -> OptimConfig:
    values = {
        "updates": UPDATES,
        "batch_size": 16,
        "shards": 2,
        "learning_rate": cosine(3e-3, 3e-4, 20, 3),
        "plateau": None,
        "betas": (0.9, 0.99),
        "eps": 1e-8,
        "weight_decay": 0.05,
        "clip_norm": 1.0,
        "ema_decay": 0.6,
        "ema_every": 1,
        "precision": "fp32",
        "validate_every": 5,
    }
    return OptimConfig(**{**values, **changes})


DVAE = TrainDVAEConfig(
    init="scratch",
    init_sha256=None,
    quantizer="gumbel",
    likelihood="logit_laplace",
    schedule_clock=1.0,
    vq=VQConfig(commitment=0.25, codebook_decay=0.9, restart_below=0.05),
    fid_features=None,
    codebook_size=24,
    num_groups=3,
    blocks_per_group=1,
    hidden_width=8,
    codebook_width=12,
    post_gain=1.0,
    crop_scale=(1.0, 1.125),
    beta=cosine(0.0, 1.0, 12),
    tau=cosine(1.0, 1 / 16, 16),
    warm_start=WarmStartConfig(updates=4, sharpness=0.5, bottleneck_noise=0.05, num_batches=3, kmeans_iterations=4),
    optim=optim(clip_norm=0.5, eps=1e-3, learning_rate=cosine(1e-3, 1e-4, 20, 3)),
)
PRIOR = TrainPriorConfig(
    kind="transformer",
    layers=4,
    width=32,
    heads=2,
    conv_kernel=3,
    masks="paper",
    pixelcnn=PixelCNNSizes(layers=3, width=24, kernel=3),
    text_length=15,
    bpe_dropout=0.2,
    image_loss_weight=0.875,
    loss_on_padding=False,
    activation_checkpointing=False,
    optim=optim(ema_every=2),
)
PIXELCNN = dataclasses.replace(PRIOR, kind="pixelcnn")
CLIP = TrainClipConfig(
    towers=TowerSizes(
        embed_dim=16,
        patch_size=16,
        vision_width=32,
        vision_layers=(1,),
        vision_heads=2,
        text_length=16,
        text_width=32,
        text_layers=1,
        text_heads=2,
    ),
    negatives=NegativesConfig(words=False, pictures=0, mixed=0, sampled=0),
    max_shift=None,
    validation_pairs=12,
    optim=optim(shards=1, eps=1e-3),
)


def dvae_points(folder: Path, config: TrainDVAEConfig, seed: int) -> Points:
    pairs = golden_pairs(folder)
    valid = torch.from_numpy(load_evaluation_images(pairs[pairs["split"] == "valid"], 24)).permute(0, 3, 1, 2).float() / 255
    crop = partial(dvae_crop, scale=config.crop_scale)
    batches = ImageBatches(pairs[pairs["split"] == "train"], 24, crop, config.optim.batch_size, seed)
    return _points(train_dvae, folder, batches, valid, config, seed=seed)


def prior_points(folder: Path, config: TrainPriorConfig, seed: int) -> Points:
    store = golden_store()
    return _points(train_prior, folder, store, train_tokenizer(store.pairs["caption"].tolist(), 300), config, seed=seed)


def clip_points(folder: Path, config: TrainClipConfig, seed: int) -> Points:
    pairs = golden_pairs(folder)
    tokenizer = train_tokenizer(pairs["caption"].tolist(), 300)
    return _points(train_clip, folder, pairs, tokenizer, config, image_size=32, seed=seed)


TRAININGS: dict[str, tuple[Callable[..., Points], Any]] = {
    "train_dvae": (dvae_points, DVAE),
    "train_prior": (prior_points, PRIOR),
    "train_prior_pixelcnn": (prior_points, PIXELCNN),
    "train_clip": (clip_points, CLIP),
}


def run(name: str, folder: Path, *, seed: int = 0, **changes: Any) -> Points:
    """Everything a training reported; `optim__eps=1` changes `optim.eps`, `text_length=8` the section's own value."""
    points_of, config = TRAININGS[name]
    for key, value in changes.items():
        part, _, field = key.rpartition("__")
        change = {part: dataclasses.replace(getattr(config, part), **{field: value})} if part else {field: value}
        config = dataclasses.replace(config, **change)
    return points_of(folder, config, seed)


def _points(train: Callable, folder: Path, *data: Any, **settings: Any) -> Points:
    log, points = MemoryLog(), {}
    train(*data, **settings, options=OPTIONS, checkpoint=Checkpoint(folder / "state.pt"), log=log)
    for step, metrics in log.points:
        points.setdefault(step, {}).update((key, float(value)) for key, value in metrics.items())
    return points
