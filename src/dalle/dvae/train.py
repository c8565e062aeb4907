"""Stage 1: maximise the evidence lower bound over images, with a uniform prior over the codes (PAPER 2.1, A.2)."""

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from dalle.dvae.likelihood import logit_laplace_nll, map_pixels
from dalle.dvae.loss import kl_to_uniform, negative_elb
from dalle.dvae.model import DVAE, DVAEConfig
from dalle.dvae.quality import codebook_use, psnr_db, ssim
from dalle.dvae.relaxation import gumbel_softmax
from dalle.dvae.warm_start import ContinuousAutoencoder, WarmStartConfig, install_codebook
from dalle.randomness import derive_seed, torch_generator
from dalle.training.checkpoint import Checkpoint
from dalle.training.log import Log
from dalle.training.loop import OptimConfig, RunOptions, train
from dalle.training.precision import autocast
from dalle.training.schedules import Schedule

VALIDATION_BATCH = 64
NUM_SHOWN = 8


@dataclass(frozen=True, kw_only=True)
class TrainDVAEConfig:
    """Sizes of the networks, the two schedules of the relaxation, the warm start, and the optimiser.

    `crop_scale` is the range by which Listing 1 enlarges a picture before it crops: what is kept of it is larger by as much
    than what the prior and every evaluation see.
    """

    codebook_size: int
    num_groups: int
    blocks_per_group: int
    hidden_width: int
    codebook_width: int
    post_gain: float
    crop_scale: tuple[float, ...]
    beta: Schedule
    tau: Schedule
    warm_start: WarmStartConfig
    optim: OptimConfig

    def __post_init__(self) -> None:
        if len(self.crop_scale) != 2 or not 1 <= self.crop_scale[0] <= self.crop_scale[1]:
            raise ValueError(f"crop_scale must be two rising numbers from 1 on, got {list(self.crop_scale)}")
        if min(self.tau.start, self.tau.end) <= 0:
            raise ValueError(f"tau must stay above 0 (the relaxation divides by it), got {self.tau.start} -> {self.tau.end}")

    def model(self, image_size: int) -> DVAEConfig:
        """The part that builds the networks."""
        names = {field.name for field in dataclasses.fields(DVAEConfig)} - {"image_size"}
        return DVAEConfig(image_size=image_size, **{name: getattr(self, name) for name in names})


def train_dvae(
    batch_at: Callable[[int], Tensor],
    valid_images: Tensor,
    config: TrainDVAEConfig,
    *,
    seed: int,
    options: RunOptions,
    checkpoint: Checkpoint,
    log: Log,
) -> tuple[DVAE, dict[str, float]]:
    """The trained dVAE (averaged parameters) and its last validation.

    `batch_at(step)` gives images (B, 3, H, W) in [0, 1]; `valid_images` the same, all at once.
    """
    if not len(valid_images):
        raise ValueError("there are no images to validate on: hold some out of the training")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derive_seed(seed, "dvae"))
        dvae = DVAE(config.model(valid_images.shape[-1])).to(options.device)
        if config.warm_start.updates and not checkpoint.path.exists():
            _warm_start(dvae, batch_at, valid_images, config, seed, options, checkpoint.sibling("warm_start"), log)
    beta, tau = config.beta, config.tau

    def loss_function(model: nn.Module, images: Tensor, step: int, shard: int) -> tuple[Tensor, Mapping[str, Tensor | float]]:
        code_logits = model.code_logits(images)
        generator = torch_generator(seed, "gumbel", step, shard, device=options.device)
        maps = model.likelihood_maps(gumbel_softmax(code_logits, tau.at(step), generator))
        loss, nll, kl = negative_elb(maps, images, code_logits, beta.at(step))
        parts = {"train/loss": loss.detach(), "train/nll": nll.detach(), "train/kl_nats_per_code": kl.detach()}
        return loss, {**parts, "schedule/beta": beta.at(step), "schedule/tau": tau.at(step)}

    def validate(model: nn.Module, step: int) -> Mapping[str, float]:
        log.image("reconstructions", step, _shown(model, valid_images[:NUM_SHOWN].to(options.device)))
        return validation_metrics(model, valid_images, tau.at(step), seed, options.device, config.optim.precision)

    metrics = train(
        dvae,
        what="dVAE",
        batch_at=batch_at,
        loss_function=loss_function,
        validate=validate,
        optim=config.optim,
        options=options,
        checkpoint=checkpoint,
        log=log,
    )
    return dvae, metrics


@torch.no_grad()
def validation_metrics(dvae: DVAE, images: Tensor, tau: float, seed: int, device: str, precision: str) -> dict[str, float]:
    """Reconstruction, bounds and codebook use over `images` (N, 3, H, W).

    PSNR and SSIM use the most probable codes, as everything downstream does. Both bounds are at beta = 1, in nats a
    subpixel, on the same Gumbel noise: relaxed codes at `tau`, and hard codes, which is the true bound.
    """
    totals: dict[str, float] = {}
    counts = torch.zeros(dvae.config.codebook_size, dtype=torch.int64)
    for index, batch in enumerate(images.split(VALIDATION_BATCH)):
        batch = batch.to(device)
        generator = torch_generator(seed, "validation", index, device=device)
        with autocast(device, precision):
            code_logits = dvae.code_logits(batch)
            soft_codes = gumbel_softmax(code_logits, tau, generator)
            relaxed = logit_laplace_nll(dvae.likelihood_maps(soft_codes), map_pixels(batch))
            true = logit_laplace_nll(dvae.likelihood_maps_of_codes(soft_codes.argmax(1)), map_pixels(batch))
            codes = code_logits.argmax(1)
            reconstructions = dvae.decode(codes)
        kl = kl_to_uniform(code_logits)
        kl_a_subpixel = kl.mean() * codes[0].numel() / batch[0].numel()
        values = {
            "valid/psnr_db": psnr_db(batch, reconstructions).mean(),
            "valid/ssim": ssim(batch, reconstructions).mean(),
            "valid/elbo_relaxed": -(relaxed.mean() + kl_a_subpixel),
            "valid/elbo_true": -(true.mean() + kl_a_subpixel),
            "valid/kl_nats_per_code": kl.mean(),
        }
        for name, value in values.items():
            totals[name] = totals.get(name, 0.0) + float(value) * len(batch)
        counts += torch.bincount(codes.flatten().cpu(), minlength=len(counts))
    used, perplexity = codebook_use(counts)
    means = {name: total / len(images) for name, total in totals.items()}
    return {**means, "valid/codebook_used": used, "valid/codebook_perplexity": perplexity}


def _warm_start(
    dvae: DVAE,
    batch_at: Callable[[int], Tensor],
    valid_images: Tensor,
    config: TrainDVAEConfig,
    seed: int,
    options: RunOptions,
    checkpoint: Checkpoint,
    log: Log,
) -> None:
    """Train the continuous autoencoder, then turn its bottleneck into the first codebook of `dvae`."""
    autoencoder = ContinuousAutoencoder(dvae, config.warm_start.bottleneck_noise).to(options.device)
    optim = dataclasses.replace(
        config.optim,
        updates=config.warm_start.updates,
        learning_rate=_constant(config.optim.learning_rate.start, config.warm_start.updates),
        validate_every=config.warm_start.updates,
    )

    def loss_function(model: nn.Module, images: Tensor, step: int, shard: int) -> tuple[Tensor, Mapping[str, Tensor | float]]:
        return model.loss(images, torch_generator(seed, "bottleneck noise", step, shard, device=options.device)), {}

    def validate(model: nn.Module, step: int) -> Mapping[str, float]:
        return {}

    train(
        autoencoder,
        what="dVAE warm start",
        batch_at=lambda step: batch_at(config.optim.updates + step),  # beyond the batches of the training itself
        loss_function=loss_function,
        validate=validate,
        optim=optim,
        options=options,
        checkpoint=checkpoint,
        log=_Silent(log),
    )
    install_codebook(dvae, autoencoder, lambda index: batch_at(index).to(options.device), config.warm_start, seed)


class _Silent:
    """The warm start's updates are not the training's: only its flushes reach the log."""

    def __init__(self, log: Log) -> None:
        self.flush = log.flush

    def __call__(self, step: int, metrics: Mapping[str, float]) -> None:
        pass

    def image(self, name: str, step: int, image: np.ndarray) -> None:
        pass

    def resume(self, step: int) -> None:
        pass


def _constant(learning_rate: float, updates: int) -> Schedule:
    warmup = min(50, updates - 1)
    return Schedule(shape="constant", start=learning_rate, end=learning_rate, updates=updates, warmup_updates=warmup)


@torch.no_grad()
def _shown(dvae: DVAE, images: Tensor) -> np.ndarray:
    """Originals above their reconstructions, uint8 (2 H, NUM_SHOWN W, 3)."""
    rows = [torch.cat(list(row.cpu()), dim=2) for row in (images, dvae.decode(dvae.encode(images)))]
    return (torch.cat(rows, dim=1).permute(1, 2, 0) * 255).round().byte().numpy()
