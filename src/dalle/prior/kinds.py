"""What a prior is, and the kinds there are: same token files, same loss, same sampling; nothing outside asks which it is."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal, NamedTuple, Protocol

import torch
from torch import Tensor

from dalle.prior.model import Prior, PriorConfig, initialise
from dalle.prior.pixelcnn import PixelCNN, PixelCNNConfig, initialise_pixelcnn
from dalle.training.model_folder import load_model, saved_config

PriorKind = Literal["transformer", "pixelcnn"]


class AnyPriorConfig(Protocol):
    """What every config tells; `kind` is how a model folder says which prior it holds."""

    kind: PriorKind
    text_vocab_size: int
    text_length: int
    codebook_size: int
    grid_size: int

    @property
    def num_text_ids(self) -> int:
        """The tokenizer's vocabulary and one padding id a text position."""

    @property
    def num_positions(self) -> int:
        """Image tokens in an image."""


class SamplingCache(Protocol):
    """What steps leave for the next ones."""

    def for_candidates(self, num_candidates: int) -> "SamplingCache":
        """A fresh cache for `num_candidates` images a caption after the same prefilled text."""


class AnyPrior(Protocol):
    """p(text tokens) and p(image tokens | text tokens), an `nn.Module`; text tokens (B, T), image tokens (B, G*G), int64."""

    config: AnyPriorConfig

    def __call__(self, text_tokens: Tensor, image_tokens: Tensor) -> tuple[Tensor, Tensor]:
        """Float32 logits of every text token (B, T, V+T) and image token (B, G*G, K), given all tokens before it."""

    def hidden(self, text_tokens: Tensor, image_tokens: Tensor) -> tuple[Tensor, Tensor]:
        """What the two heads read, (B, T, _) and (B, G*G, _)."""

    def text_logits(self, hidden: Tensor) -> Tensor:
        """Float32 (..., V+T)."""

    def image_logits(self, hidden: Tensor) -> Tensor:
        """Float32 (..., K)."""

    def prefill(self, text_tokens: Tensor) -> SamplingCache:
        """Read each of C captions once; `for_candidates(n)` of what comes back starts n images a caption."""

    def step(self, previous: Tensor | None, position: int, cache: Any) -> Tensor:
        """Float32 logits (B, K) of image token `position`, given tokens (B,) at `position - 1` (None at 0), in order from 0."""


class Kind(NamedTuple):
    """How a prior of one kind is built from its config, and its weights drawn."""

    build: Callable[[Any], AnyPrior]
    config: type
    initialise: Callable[[Any, torch.Generator], None]


KINDS: dict[PriorKind, Kind] = {
    "transformer": Kind(Prior, PriorConfig, initialise),
    "pixelcnn": Kind(PixelCNN, PixelCNNConfig, initialise_pixelcnn),
}


def build_prior(config: AnyPriorConfig) -> AnyPrior:
    """The prior of this config; its weights mean nothing yet."""
    return KINDS[config.kind].build(config)


def initialise_prior(prior: AnyPrior, generator: torch.Generator) -> None:
    """Weights as a training begins with them."""
    KINDS[prior.config.kind].initialise(prior, generator)


def load_prior(folder: Path) -> AnyPrior:
    """The prior that `save_model(prior, prior.config, folder)` wrote, of whichever kind it is, in evaluation mode."""
    kind = saved_config(folder).get("kind")
    if kind not in KINDS:
        raise ValueError(f"{folder / 'config.json'}: kind: {kind!r} is none of the priors that are known: {', '.join(KINDS)}")
    return load_model(KINDS[kind].build, KINDS[kind].config, folder)
