"""A codebook to begin with: short trainings from the paper's random initialisation collapse onto a handful of codes.

The same two networks are first joined by a linear bottleneck of the codebook's width, with no codes at all, and trained
for a few hundred updates. The K centroids of k-means on that bottleneck then become the codebook, and because
-s/2 |u - c_k|^2 = s c_k.u - s/2 |c_k|^2 + const is linear in u, the encoder's last 1x1 convolution can be set so that its
logits are exactly those distances. The architecture and the objective stay the paper's; only the starting point differs.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from dalle.dvae.likelihood import logit_laplace_nll, map_pixels
from dalle.dvae.model import DVAE
from dalle.randomness import torch_generator


@dataclass(frozen=True, kw_only=True)
class WarmStartConfig:
    """`updates` of 0 keeps the paper's random initialisation; `sharpness` is s in units of 1 / (quantisation error)."""

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

    def loss(self, images: Tensor, generator: torch.Generator) -> Tensor:
        """Reconstruction in nats a subpixel; noise on the bottleneck leaves room between neighbouring codes."""
        u = self.bottleneck_of(images)
        noise = torch.randn(u.shape, generator=generator, device=u.device)
        u = u + self.noise * u.detach().float().std() * noise
        return logit_laplace_nll(self.decoder(u), map_pixels(images)).mean()


@torch.no_grad()
def install_codebook(
    dvae: DVAE, autoencoder: ContinuousAutoencoder, batch_at: Callable[[int], Tensor], config: WarmStartConfig, seed: int
) -> None:
    """Set the dVAE's last encoder and first decoder convolutions from k-means on the trained bottleneck."""
    vectors = [autoencoder.bottleneck_of(batch_at(index)).float() for index in range(config.num_batches)]
    points = torch.cat([u.permute(0, 2, 3, 1).flatten(0, 2) for u in vectors])
    codebook = dvae.config.codebook_size
    if len(points) < codebook:
        raise ValueError(f"warm_start.num_batches: {len(points)} grid cells cannot make {codebook} codes; take more batches")
    centroids, error = kmeans(points, codebook, config.kmeans_iterations, torch_generator(seed, "kmeans", device=points.device))
    if error <= 1e-6 * float(points.square().sum(1).mean()):  # within float32's rounding: there is nothing to scale by
        raise ValueError(
            f"warm_start: the images of {config.num_batches} batches have fewer different patches than the {codebook} codes; "
            "lower codebook_size, take more batches, or set warm_start.updates to 0"
        )
    scale = config.sharpness / error
    weight, bias = autoencoder.bottleneck.weight.flatten(1), autoencoder.bottleneck.bias
    last, first = dvae.encoder[-1], dvae.decoder[0]
    last.weight.copy_((scale * centroids @ weight)[:, :, None, None])
    logits_bias = scale * (centroids @ bias) - scale / 2 * centroids.square().sum(1)
    last.bias.copy_(logits_bias - logits_bias.mean())
    first.weight.copy_(centroids.t()[:, :, None, None])
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
