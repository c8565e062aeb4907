"""A trained prior goes on training on a domain's own pairs: the step that the paper leaves to future work (3.1)."""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from torch import Tensor

from dalle.data.bpe import CaptionTokenizer
from dalle.data.token_store import TokenStore, require_dvae
from dalle.prior.batches import TokenBatch, TrainingBatches, check_store
from dalle.prior.kinds import AnyPrior
from dalle.prior.loss import prior_losses
from dalle.prior.train import TrainPriorConfig, validation
from dalle.training.checkpoint import Checkpoint
from dalle.training.log import Log
from dalle.training.loop import OptimConfig, RunOptions, train


@dataclass(frozen=True, kw_only=True)
class FinetunePriorConfig:
    """The `finetune_prior` section: `optim` for each of `domains`; loss, dropout and text are those of `train_prior`.

    About `valid_fraction` of a domain's training images are held out, to see when it is learnt by heart.
    """

    domains: tuple[Literal["coco", "cub"], ...]
    valid_fraction: float
    optim: OptimConfig

    def __post_init__(self) -> None:
        if not 0 < self.valid_fraction < 1:
            raise ValueError(f"valid_fraction must be between 0 and 1, got {self.valid_fraction}")
        if len(set(self.domains)) < len(self.domains):
            raise ValueError(f"domains must differ, got {list(self.domains)}")


def finetune_prior(
    prior: AnyPrior,
    store: TokenStore,
    tokenizer: CaptionTokenizer,
    trained: TrainPriorConfig,
    optim: OptimConfig,
    *,
    dvae_sha256: str,
    seed: int,
    options: RunOptions,
    checkpoint: Checkpoint,
    log: Log,
) -> dict[str, float]:
    """Train `prior` in place on the store's `train` split, as it was `trained` but for `optim`; the last validation's metrics.

    Beside what `train_prior` measures there is `before/...`, the losses on the `valid` split of the prior as it came. The
    optimiser starts anew; no updates leave every weight as it was.
    """
    check_store(store)
    require_dvae(store, dvae_sha256)
    check_fit(prior, store, tokenizer)
    config = dataclasses.replace(trained, text_length=prior.config.text_length, optim=optim)
    prior.activation_checkpointing = config.activation_checkpointing
    prior.to(options.device).eval()
    measure = validation(store, tokenizer, config, options)
    before = measure(prior, 0)
    batches = TrainingBatches(
        store,
        tokenizer,
        text_length=config.text_length,
        bpe_dropout=config.bpe_dropout,
        batch_size=optim.batch_size,
        seed=seed,
    )

    def loss_function(model: AnyPrior, batch: TokenBatch, step: int, shard: int) -> tuple[Tensor, Mapping[str, Tensor]]:
        losses = prior_losses(model, *batch, loss_on_padding=config.loss_on_padding)
        loss = losses.total(config.image_loss_weight)
        reported = {"train/loss": loss, "train/text_loss": losses.text, "train/image_loss": losses.image}
        return loss, {name: value.detach() for name, value in reported.items()}

    metrics = train(
        prior,
        what="finetune_prior",
        batch_at=batches,
        loss_function=loss_function,
        validate=measure,
        optim=optim,
        options=options,
        checkpoint=checkpoint,
        log=log,
    )
    return {**{f"before/{name}": before[f"valid/{name}"] for name in ("loss", "text_loss", "image_loss")}, **metrics}


def check_fit(prior: AnyPrior, store: TokenStore, tokenizer: CaptionTokenizer) -> None:
    """A `ValueError` where the prior reads other tokens than the store and the tokenizer write."""
    read = (prior.config.codebook_size, prior.config.grid_size, prior.config.text_vocab_size)
    written = (store.codebook_size, store.grid_size, tokenizer.vocab_size)
    names = ("image tokens out of", "cells a side", "text tokens out of")
    for name, mine, theirs in zip(names, read, written, strict=True):
        if mine != theirs:
            raise ValueError(f"the prior reads {name} {mine}, the store and the tokenizer have {theirs}: train the prior again")
