"""The VQ-VAE of van den Oord et al. 2017 between the dVAE's own encoder and decoder: what the paper's dVAE replaced.

The encoder's last convolution gives a vector a cell instead of K logits; the nearest of K codes takes its place, and the
gradient passes it by. Because the nearest code is the argmax of a linear function of that vector (see `warm_start`), the
trained model is handed on as an ordinary dVAE whose posterior is a point mass: nothing downstream notices.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dalle.dvae.likelihood import map_pixels
from dalle.dvae.model import DVAE
from dalle.dvae.warm_start import ContinuousAutoencoder, set_codebook

POINT_MASS = 1e4  # of a logit to the variance of the codes in use: next to it Gumbel noise changes no code


@dataclass(frozen=True, kw_only=True)
class VQConfig:
    """Used by quantizer `vq` alone.

    `commitment` weighs the encoder's distance to its codes; `codebook_decay` is that of the moving averages which are the
    codebook (null: the codebook follows the gradient of its own loss instead); a code used less than `restart_below` of its
    fair share, 1/K of the cells, starts again at a vector of the batch (0: never).
    """

    commitment: float
    codebook_decay: float | None
    restart_below: float

    def __post_init__(self) -> None:
        if not self.commitment >= 0:  # nan too
            raise ValueError(f"commitment must not be negative, got {self.commitment}")
        if self.codebook_decay is not None and not 0 <= self.codebook_decay < 1:
            raise ValueError(f"codebook_decay must be in [0, 1) or null, got {self.codebook_decay}")
        if not 0 <= self.restart_below < 1:
            raise ValueError(f"restart_below must be in [0, 1), got {self.restart_below}")


class VectorQuantizedAutoencoder(nn.Module):
    """A continuous autoencoder with a codebook (K, D) in its bottleneck.

    Shards of a batch leave what they saw in `seen`; `end_update` then moves the codebook, once for the whole batch.
    """

    USES_DECAY = 0.99  # of how often codes are used, where the codebook itself follows a gradient

    def __init__(self, autoencoder: ContinuousAutoencoder, codebook: Tensor, config: VQConfig) -> None:
        super().__init__()
        self.autoencoder, self.config = autoencoder, config
        self.codebook = nn.Parameter(codebook.clone(), requires_grad=config.codebook_decay is None)
        self.register_buffer("uses", torch.ones(len(codebook), device=codebook.device))  # in shares of 1/K
        self.register_buffer("sums", codebook.clone())
        self.seen: dict[int, tuple[Tensor, Tensor]] = {}

    def forward(self, images: Tensor, shard: int) -> tuple[Tensor, Tensor, Tensor]:
        """(likelihood maps (B, 6, H, W), the encoder's mean squared distance to its codes, the codes' to it)."""
        hidden = self.autoencoder.encoder(map_pixels(images).contiguous(memory_format=torch.channels_last))
        with torch.autocast(images.device.type, enabled=False):  # as the dVAE will decide it
            u = self.autoencoder.bottleneck(hidden.float())
        vectors = u.permute(0, 2, 3, 1).flatten(0, 2)
        nearest = nearest_codes(vectors.detach(), self.codebook.detach())
        self.seen[shard] = (vectors.detach(), nearest)
        quantized = self.codebook[nearest].view(*u.permute(0, 2, 3, 1).shape).permute(0, 3, 1, 2)
        commitment, codebook_loss = F.mse_loss(u, quantized.detach()), F.mse_loss(quantized, u.detach())
        passed_by = u + (quantized - u).detach()
        return self.autoencoder.decoder(passed_by), commitment, codebook_loss

    @torch.no_grad()
    def end_update(self, generator: torch.Generator) -> None:
        """Move the codebook to the mean of what chose it, and restart codes that hardly anything chose."""
        vectors, nearest = (torch.cat([self.seen[shard][part] for shard in sorted(self.seen)]) for part in range(2))
        self.seen.clear()
        decay, fair_share = self.config.codebook_decay, len(vectors) / len(self.codebook)
        keep = self.USES_DECAY if decay is None else decay
        self.uses.lerp_(torch.bincount(nearest, minlength=len(self.codebook)) / fair_share, 1 - keep)
        self.sums.lerp_(torch.zeros_like(self.sums).index_add_(0, nearest, vectors) / fair_share, 1 - keep)
        if decay is not None:
            used = self.uses[:, None] > 1e-6
            self.codebook.copy_(torch.where(used, self.sums / self.uses.clamp(min=1e-6)[:, None], self.codebook))
        dead = self.uses < self.config.restart_below
        chosen = vectors[torch.randint(len(vectors), self.uses.shape, generator=generator, device=vectors.device)]
        self.codebook.copy_(torch.where(dead[:, None], chosen, self.codebook))
        self.uses.copy_(torch.where(dead, 1.0, self.uses))
        self.sums.copy_(torch.where(dead[:, None], chosen, self.sums))

    def hand_over(self, dvae: DVAE) -> None:
        """Set the two code convolutions of `dvae`, whose other layers are these already, to this codebook."""
        codebook, share = self.codebook.detach(), self.uses / self.uses.sum()
        variance = float((share @ (codebook - share @ codebook).square()).mean().clamp(min=1e-12))
        set_codebook(dvae, self.autoencoder.bottleneck, codebook, POINT_MASS / variance, share)


def nearest_codes(vectors: Tensor, codebook: Tensor) -> Tensor:
    """The index of the nearest of `codebook` (K, D) for each of `vectors` (N, D), in float32 whatever the autocast."""
    with torch.autocast(vectors.device.type, enabled=False):
        origin = codebook.mean(0)  # distances are differences of squares: the smaller those are, the more digits remain
        vectors, codebook = vectors - origin, codebook - origin
        return torch.addmm(codebook.square().sum(1), vectors, codebook.t(), alpha=-2).argmin(1)
