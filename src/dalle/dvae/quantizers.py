"""How a dVAE learns discrete codes: each quantizer trains the same two networks and ends as the same kind of dVAE."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, Protocol

from torch import Tensor, nn

from dalle.dvae.likelihood import NLLS, LikelihoodName, map_pixels
from dalle.dvae.loss import negative_elb
from dalle.dvae.model import DVAE
from dalle.dvae.relaxation import gumbel_softmax, straight_through
from dalle.dvae.vq import VectorQuantizedAutoencoder
from dalle.randomness import torch_generator
from dalle.training.schedules import Schedule

QuantizerName = Literal["gumbel", "gumbel_straight_through", "vq"]
Losses = tuple[Tensor, Mapping[str, Tensor | float]]


class Quantizer(Protocol):
    """`module` is what the loop trains; all randomness is a function of the update's number, the shard's and a seed."""

    module: nn.Module

    def loss(self, images: Tensor, step: int, shard: int) -> Losses:
        """The loss of a shard in nats a subpixel, and what to report of it; `images` (B, 3, H, W) in [0, 1]."""

    def end_update(self, step: int) -> None:
        """Called when the optimiser has moved the parameters."""

    def dvae(self) -> DVAE:
        """The dVAE that the module's present parameters make."""


@dataclass(frozen=True, kw_only=True)
class GumbelQuantizer:
    """Relaxed codes at temperature tau, or their one-hot argmax with the gradient of the relaxed ones (2.1, A.2)."""

    module: DVAE
    likelihood: LikelihoodName
    beta: Schedule
    tau: Schedule
    hard: bool
    seed: int

    def loss(self, images: Tensor, step: int, shard: int) -> Losses:
        code_logits = self.module.code_logits(images)
        generator = torch_generator(self.seed, "gumbel", step, shard, device=images.device)
        soft_codes = gumbel_softmax(code_logits, self.tau.at(step), generator)
        maps = self.module.likelihood_maps(straight_through(soft_codes) if self.hard else soft_codes)
        loss, nll, kl = negative_elb(maps, images, code_logits, self.beta.at(step), self.likelihood)
        parts = {"train/loss": loss.detach(), "train/nll": nll.detach(), "train/kl_nats_per_code": kl.detach()}
        return loss, {**parts, "schedule/beta": self.beta.at(step), "schedule/tau": self.tau.at(step)}

    def end_update(self, step: int) -> None:
        pass

    def dvae(self) -> DVAE:
        return self.module


@dataclass(frozen=True, kw_only=True)
class VectorQuantizer:
    """The nearest of K vectors, with the gradient passed by: a VQ-VAE; beta and tau have no part in it."""

    module: VectorQuantizedAutoencoder
    likelihood: LikelihoodName
    handed_on: DVAE  # shares all its layers with the module, but for the two that hold the codebook
    seed: int

    def loss(self, images: Tensor, step: int, shard: int) -> Losses:
        maps, commitment, codebook_loss = self.module(images, shard)
        nll = NLLS[self.likelihood](maps, map_pixels(images)).mean()
        config = self.module.config
        loss = nll + config.commitment * commitment + (codebook_loss if config.codebook_decay is None else 0)
        parts = {"train/loss": loss, "train/nll": nll, "train/codebook_distance": codebook_loss}
        return loss, {name: value.detach() for name, value in parts.items()}

    def end_update(self, step: int) -> None:
        self.module.end_update(torch_generator(self.seed, "restart", step, device=self.module.codebook.device))

    def dvae(self) -> DVAE:
        self.module.hand_over(self.handed_on)
        return self.handed_on
