"""A codebook to begin with: short trainings from the paper's random initialisation collapse onto a handful of codes.

The same two networks are first joined by a linear bottleneck of the codebook's width, with no codes at all, and trained
for a few hundred updates. The K centroids of k-means on that bottleneck then become the codebook, and because
-s/2 |u - c_k|^2 = s c_k.u - s/2 |c_k|^2 + const is linear in u, the encoder's last 1x1 convolution can be set so that its
logits are exactly those distances. The architecture and the objective stay the paper's; only the starting point differs.
"""

import dataclasses
import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from dalle.dvae.likelihood import NLLS, LikelihoodName, map_pixels
from dalle.dvae.model import DVAE
from dalle.randomness import torch_generator
from dalle.training.checkpoint import Checkpoint
from dalle.training.log import Log
from dalle.training.loop import OptimConfig, RunOptions, train
from dalle.training.schedules import Schedule


@dataclass(frozen=True, kw_only=True)
class WarmStartConfig:
    """`updates` of 0 keeps the paper's random initialisation, but that a VQ-VAE still takes its codebook from k-means.

    `sharpness` is s in units of 1 / (quantisation error)."""

    updates: int
    sharpness: float
    bottleneck_noise: float
    num_batches: int
    kmeans_iterations: int

    def __post_init__(self) -> None:
        for name in ("updates", "bottleneck_noise"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} must not be negative, got {getattr(self, name)}")
        for name in ("sharpness", "num_batches", "kmeans_iterations"):
            if getattr(self, name) <= 0:
                raise ValueError(f"{name} must be above 0, got {getattr(self, name)}")


    def optim(self, optim: OptimConfig) -> OptimConfig:
        """That of the training, for these updates, with the step size it begins at."""
        if not self.updates:
            return dataclasses.replace(optim, updates=0)
        rate = optim.learning_rate.start
        warmup = min(50, self.updates - 1)
        constant = Schedule(shape="constant", start=rate, end=rate, updates=self.updates, warmup_updates=warmup)
        short = {"updates": self.updates, "learning_rate": constant, "plateau": None, "validate_every": self.updates}
        return dataclasses.replace(optim, **short)


class ContinuousAutoencoder(nn.Module):
    """The dVAE's networks, shared, with its two 1x1 code convolutions replaced by one linear bottleneck."""

    def __init__(self, dvae: DVAE, noise: float) -> None:
        super().__init__()
        self.encoder, self.decoder = dvae.encoder[:-1], dvae.decoder[1:]
        width = dvae.config.widths[-1]
        self.bottleneck = nn.Conv2d(width, dvae.config.codebook_width, 1)
        nn.init.normal_(self.bottleneck.weight, std=1 / math.sqrt(width))
        nn.init.zeros_(self.bottleneck.bias)
        self.noise = noise

    def bottleneck_of(self, images: Tensor) -> Tensor:
        """`images` (B, 3, H, W) -> (B, D, G, G) with D the codebook's width."""
        return self.bottleneck(self.encoder(map_pixels(images).contiguous(memory_format=torch.channels_last)))

    def loss(self, images: Tensor, generator: torch.Generator, likelihood: LikelihoodName) -> Tensor:
        """Reconstruction in nats a subpixel; noise on the bottleneck leaves room between neighbouring codes."""
        u = self.bottleneck_of(images)
        noise = torch.randn(u.shape, generator=generator, device=u.device)
        u = u + self.noise * u.detach().float().std() * noise
        return NLLS[likelihood](self.decoder(u), map_pixels(images)).mean()


def pretrain(
    autoencoder: ContinuousAutoencoder,
    batch_at: Callable[[int], Tensor],
    first_batch: int,
    optim: OptimConfig,
    likelihood: LikelihoodName,
    seed: int,
    options: RunOptions,
    checkpoint: Checkpoint,
    log: Log,
) -> None:
    """Train the autoencoder on the batches from `first_batch` on, which the training itself does not reach."""

    def loss_function(model: nn.Module, images: Tensor, step: int, shard: int) -> tuple[Tensor, Mapping[str, Tensor | float]]:
        generator = torch_generator(seed, "bottleneck noise", step, shard, device=options.device)
        return model.loss(images, generator, likelihood), {}

    train(
        autoencoder,
        what="dVAE warm start",
        batch_at=lambda step: batch_at(first_batch + step),
        loss_function=loss_function,
        validate=lambda model, step: {},
        optim=optim,
        options=options,
        checkpoint=checkpoint,
        log=_Silent(log),
    )


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


@torch.no_grad()
def first_codebook(
    autoencoder: ContinuousAutoencoder, batches: Iterable[Tensor], codebook_size: int, config: WarmStartConfig, seed: int
) -> tuple[Tensor, float]:
    """(codebook (K, D), mean squared distance to it) from k-means on the bottleneck of `batches` of images."""
    vectors = [autoencoder.bottleneck_of(images).float() for images in batches]
    points = torch.cat([u.permute(0, 2, 3, 1).flatten(0, 2) for u in vectors])
    if len(points) < codebook_size:
        raise ValueError(
            f"warm_start.num_batches: {len(points)} grid cells cannot make {codebook_size} codes; take more batches"
        )
    generator = torch_generator(seed, "kmeans", device=points.device)
    codebook, error = kmeans(points, codebook_size, config.kmeans_iterations, generator)
    if error <= 1e-6 * float(points.square().sum(1).mean()):  # within float32's rounding: there is nothing to scale by
        raise ValueError(
            f"warm_start: the images of {config.num_batches} batches have fewer different patches than the {codebook_size} "
            "codes; lower codebook_size, take more batches, or, for a Gumbel quantizer, set warm_start.updates to 0"
        )
    return codebook, error


@torch.no_grad()
def set_codebook(dvae: DVAE, bottleneck: nn.Conv2d, codebook: Tensor, scale: float, share: Tensor | None = None) -> None:
    """Make the dVAE's code logits -scale/2 |u - c_k|^2, up to a constant a cell, and its decoder read c_k for code k.

    Neither where distances are taken from nor that constant matters but for rounding: with `share` (K,), how much each code
    is used, both are the middle of the codes in use, and no digits cancel that their logits need.
    """
    weight, bias, centred = bottleneck.weight.flatten(1), bottleneck.bias, codebook
    if share is not None:
        centred, bias = codebook - share @ codebook, bias - share @ codebook
    last, first = dvae.encoder[-1], dvae.decoder[0]
    last.weight.copy_((scale * centred @ weight)[:, :, None, None])
    logits_bias = scale * (centred @ bias) - scale / 2 * centred.square().sum(1)
    last.bias.copy_(logits_bias - (logits_bias.mean() if share is None else share @ logits_bias))
    first.weight.copy_(codebook.t()[:, :, None, None])
    first.bias.zero_()


def kmeans(points: Tensor, num_clusters: int, iterations: int, generator: torch.Generator) -> tuple[Tensor, float]:
    """Lloyd's algorithm: (centroids (K, D), mean squared distance to the nearest); empty clusters restart at a random point."""
    centroids = points[torch.randperm(len(points), generator=generator, device=points.device)[:num_clusters]].clone()
    for _ in range(iterations):
        nearest = _squared_distances(points, centroids).argmin(1)
        counts = torch.bincount(nearest, minlength=num_clusters)
        sums = torch.zeros_like(centroids).index_add_(0, nearest, points)
        restart = points[torch.randint(len(points), (num_clusters,), generator=generator, device=points.device)]
        centroids = torch.where(counts[:, None] > 0, sums / counts.clamp(min=1)[:, None], restart)
    return centroids, float(_squared_distances(points, centroids).amin(1).mean())


def _squared_distances(points: Tensor, centroids: Tensor) -> Tensor:
    return points.square().sum(1, keepdim=True) - 2 * points @ centroids.t() + centroids.square().sum(1)
