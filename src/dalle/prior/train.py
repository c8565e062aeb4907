"""Training the prior on stored image tokens and their captions (PAPER 2.2, 3)."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from dalle.data.bpe import CaptionTokenizer
from dalle.data.token_store import TokenStore
from dalle.prior.batches import EvaluatedPairs, TokenBatch, TrainingBatches, check_store
from dalle.prior.kinds import AnyPrior, AnyPriorConfig, PriorKind, build_prior, initialise_prior
from dalle.prior.loss import prior_losses
from dalle.prior.masks import masks_of
from dalle.prior.model import PriorConfig, check_shape
from dalle.prior.pixelcnn import PixelCNNConfig, PixelCNNSizes
from dalle.randomness import torch_generator
from dalle.training.checkpoint import Checkpoint
from dalle.training.log import Log
from dalle.training.loop import OptimConfig, RunOptions, to_device, train
from dalle.training.precision import autocast

NUM_EVALUATED = 512  # pairs at most in a validation, and as many of the training split beside them


@dataclass(frozen=True, kw_only=True)
class TrainPriorConfig:
    """The `train_prior` section; `image_loss_weight` is 7/8 in the paper, `bpe_dropout` 0.1.

    `masks` is `paper` (its order of row, column and convolution), one mask for every layer (`full` for dense attention), or a
    list with one a layer. `layers`, `width` and `heads` are the transformer's, and those of the same blocks where they read
    text for a PixelCNN.
    `activation_checkpointing` keeps the input of every block only and computes the rest twice (PAPER 3.8): the same gradients
    in less memory and about a third more time.
    """

    kind: PriorKind
    layers: int
    width: int
    heads: int
    conv_kernel: int
    masks: str | tuple[str, ...]
    pixelcnn: PixelCNNSizes
    text_length: int
    bpe_dropout: float
    image_loss_weight: float
    loss_on_padding: bool
    activation_checkpointing: bool
    optim: OptimConfig

    def __post_init__(self) -> None:
        check_shape(self)
        masks_of(self.masks, self.layers)
        if self.activation_checkpointing and self.kind != "transformer":
            raise ValueError(f"activation_checkpointing is of the transformer's blocks: set it to false with kind {self.kind}")
        for name in ("bpe_dropout", "image_loss_weight"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} must be in [0, 1], got {getattr(self, name)}")


def train_prior(
    store: TokenStore,
    tokenizer: CaptionTokenizer,
    config: TrainPriorConfig,
    *,
    seed: int,
    options: RunOptions,
    checkpoint: Checkpoint,
    log: Log,
    show: Callable[[AnyPrior, int], None] | None = None,
) -> tuple[AnyPrior, dict[str, float]]:
    """Train on the store's `train` split; the averaged prior and the last validation's metrics.

    `show(prior, step)` is called with the averaged prior at every validation, to draw what it has learnt so far.

    `valid/loss, valid/text_loss, valid/image_loss` are nats per token over a fixed part of the `valid` split,
    `train_eval/image_loss` the same over a fixed part of the `train` split: overfitting is the gap between them.
    `valid/truncated` is the fraction of those captions that are longer than `text_length` tokens.
    """
    check_store(store)
    prior = build_prior(prior_config(config, tokenizer.vocab_size, store))
    prior.activation_checkpointing = config.activation_checkpointing
    initialise_prior(prior, torch_generator(seed, "prior"))
    prior.to(options.device)
    batches = TrainingBatches(
        store,
        tokenizer,
        text_length=config.text_length,
        bpe_dropout=config.bpe_dropout,
        batch_size=config.optim.batch_size,
        seed=seed,
    )

    def loss_function(model: AnyPrior, batch: TokenBatch, step: int, shard: int) -> tuple[Tensor, Mapping[str, Tensor]]:
        losses = prior_losses(model, *batch, loss_on_padding=config.loss_on_padding)
        loss = losses.total(config.image_loss_weight)
        reported = {"train/loss": loss, "train/text_loss": losses.text, "train/image_loss": losses.image}
        return loss, {name: value.detach() for name, value in reported.items()}

    measure = validation(store, tokenizer, config, options)

    def validate(model: AnyPrior, step: int) -> dict[str, float]:
        if show is not None:
            show(model, step)
        return measure(model, step)

    metrics = train(
        prior,
        what="train_prior",
        batch_at=batches,
        loss_function=loss_function,
        validate=validate,
        optim=config.optim,
        options=options,
        checkpoint=checkpoint,
        log=log,
    )
    return prior, metrics


def prior_config(config: TrainPriorConfig, text_vocab_size: int, store: TokenStore) -> AnyPriorConfig:
    """The model that fits this tokenizer and this token store; a transformer has the paper's masks."""
    shared = {
        "text_vocab_size": text_vocab_size,
        "text_length": config.text_length,
        "codebook_size": store.codebook_size,
        "grid_size": store.grid_size,
        "layers": config.layers,
        "width": config.width,
        "heads": config.heads,
    }
    if config.kind == "pixelcnn":
        return PixelCNNConfig(**shared, pixelcnn=config.pixelcnn)
    return PriorConfig(**shared, conv_kernel=config.conv_kernel, masks=masks_of(config.masks, config.layers))


def validation(
    store: TokenStore, tokenizer: CaptionTokenizer, config: TrainPriorConfig, options: RunOptions
) -> Callable[[AnyPrior, int], dict[str, float]]:
    """The function that measures a prior, on the same pairs each time."""
    shape = {"num_pairs": NUM_EVALUATED, "text_length": config.text_length, "batch_size": config.optim.batch_size}
    valid = EvaluatedPairs(store, tokenizer, split="valid", **shape)
    seen = EvaluatedPairs(store, tokenizer, split="train", **shape)

    def validate(prior: AnyPrior, step: int) -> dict[str, float]:
        text_loss, image_loss = mean_losses(prior, valid, config, options)
        return {
            "valid/loss": (1 - config.image_loss_weight) * text_loss + config.image_loss_weight * image_loss,
            "valid/text_loss": text_loss,
            "valid/image_loss": image_loss,
            "valid/truncated": valid.truncated,
            "train_eval/image_loss": mean_losses(prior, seen, config, options)[1],
        }

    return validate


@torch.no_grad()
def mean_losses(prior: AnyPrior, pairs: EvaluatedPairs, config: TrainPriorConfig, options: RunOptions) -> tuple[float, float]:
    """Text and image cross-entropy in nats per token, each a mean over all counted tokens of all batches."""
    sums, counts = np.zeros(2), np.zeros(2)
    for batch in pairs:
        with autocast(options.device, config.optim.precision):
            losses = prior_losses(prior, *to_device(batch, options.device), loss_on_padding=config.loss_on_padding)
        number = np.array([losses.num_text, losses.num_image])
        sums += number * [float(losses.text), float(losses.image)]
        counts += number
    text_loss, image_loss = (sums / counts).tolist()
    return text_loss, image_loss
