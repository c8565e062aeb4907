"""Training DF-GAN on a domain's own pictures and the vectors of their captions (Tao et al. 2020; the paper's 3.1)."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from dalle.baselines.adversarial import AdversarialConfig, train_adversarially
from dalle.baselines.dfgan.loss import discriminator_loss, generator_loss
from dalle.baselines.dfgan.model import DFGANConfig, Discriminator, Generator
from dalle.baselines.pairs import SentenceBatches
from dalle.data.images import load_evaluation_images
from dalle.randomness import derive_seed, torch_generator
from dalle.training.checkpoint import Checkpoint
from dalle.training.log import Log
from dalle.training.loop import RunOptions
from dalle.training.precision import autocast

NUM_EVALUATED = 256  # pairs at most in a validation, and as many of the training split beside them


@dataclass(frozen=True, kw_only=True)
class TrainDFGANConfig:
    """`width` 32 and `noise_size` 100 are the original's."""

    width: int
    noise_size: int
    optim: AdversarialConfig

    def model(self, image_size: int, sentence_size: int) -> DFGANConfig:
        return DFGANConfig(
            image_size=image_size, width=self.width, noise_size=self.noise_size, sentence_size=sentence_size
        )


def train_dfgan(
    manifest: pd.DataFrame,
    sentences: np.ndarray,
    config: TrainDFGANConfig,
    *,
    image_size: int,
    seed: int,
    options: RunOptions,
    checkpoint: Checkpoint,
    log: Log,
    show: Callable[[Generator, int], None] | None = None,
) -> tuple[Generator, dict[str, float]]:
    """Train on the manifest's split 'train'; `sentences` float32 (N, D) are the vectors of its N captions.

    `valid/matching, valid/mismatching, valid/fake` are the discriminator's mean scores on a fixed part of the split 'valid',
    `train_eval/matching` on training pairs: how far the first lies below the last is how much it knows by heart.
    `show(generator, step)` is called with the averaged generator at every validation.
    """
    splits = {name: np.flatnonzero(manifest["split"] == name) for name in ("train", "valid")}
    for name, rows in splits.items():
        if len(rows) < 2:
            raise ValueError(f"the manifest has {len(rows)} pairs of split '{name}'; training a GAN needs at least 2")
    generator, discriminator = build(config.model(image_size, sentences.shape[1]), derive_seed(seed, "dfgan", "weights"))
    trained = sentences[splits["train"]]
    generator.sentence_mean.copy_(torch.from_numpy(trained.mean(axis=0)))
    generator.sentence_spread.copy_(torch.from_numpy(trained.std(axis=0)).clamp_min(1e-6))
    batches = SentenceBatches(
        manifest.iloc[splits["train"]],
        trained,
        image_size=image_size,
        noise_size=config.noise_size,
        batch_size=config.optim.batch_size,
        seed=derive_seed(seed, "dfgan"),
    )
    evaluated = {
        name: _fixed_pairs(manifest, sentences, rows, image_size, config.noise_size, seed) for name, rows in splits.items()
    }
    # from grey the discriminator would tell pictures by their colour alone, which the generator chases until tanh saturates
    with torch.no_grad():
        generator.last.bias.copy_(evaluated["train"][0].mean(dim=(0, 2, 3)).clamp(-0.99, 0.99).atanh())
    for network in (generator, discriminator):
        network.to(options.device, memory_format=torch.channels_last)

    def validate(generator: Generator, discriminator: Discriminator, step: int) -> dict[str, float]:
        if show is not None:
            show(generator, step)
        with torch.no_grad(), autocast(options.device, config.optim.precision):
            valid, seen = (
                mean_scores(generator, discriminator, *(tensor.to(options.device) for tensor in evaluated[name]))
                for name in ("valid", "train")
            )
        return {**{f"valid/{name}": value for name, value in valid.items()}, "train_eval/matching": seen["matching"]}

    metrics = train_adversarially(
        generator,
        discriminator,
        what="train_baseline dfgan",
        batch_at=batches,
        discriminator_loss=_discriminator_loss,
        generator_loss=_generator_loss,
        validate=validate,
        config=config.optim,
        options=options,
        checkpoint=checkpoint,
        log=log,
    )
    return generator, metrics


def build(config: DFGANConfig, seed: int) -> tuple[Generator, Discriminator]:
    """Both networks with the weights that a training begins with; torch's global generator is left as it was."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return Generator(config), Discriminator(config)


def mean_scores(
    generator: Generator, discriminator: Discriminator, images: Tensor, sentences: Tensor, noise: Tensor
) -> dict[str, float]:
    """What the discriminator says of real pictures under their own and under another's sentence, and of generated ones."""
    standardised = generator.standardised(sentences)
    features = discriminator.features(images)
    scores = {
        "matching": discriminator.judge(features, standardised),
        "mismatching": discriminator.judge(features, standardised.roll(1, 0)),
        "fake": discriminator(generator(noise, sentences), standardised),
    }
    return {name: float(value.float().mean()) for name, value in scores.items()}


def _discriminator_loss(
    generator: Generator, discriminator: Discriminator, batch: Mapping[str, Tensor]
) -> tuple[Tensor, Mapping[str, Tensor]]:
    with torch.no_grad():
        fakes = generator(batch["discriminator_noise"], batch["sentences"])
    return discriminator_loss(discriminator, batch["images"], fakes, generator.standardised(batch["sentences"]))


def _generator_loss(
    generator: Generator, discriminator: Discriminator, batch: Mapping[str, Tensor]
) -> tuple[Tensor, Mapping[str, Tensor]]:
    fakes = generator(batch["generator_noise"], batch["sentences"])
    loss = generator_loss(discriminator, fakes, generator.standardised(batch["sentences"]))
    return loss, {"train/generator": loss.detach()}


def _fixed_pairs(
    manifest: pd.DataFrame, sentences: np.ndarray, rows: np.ndarray, image_size: int, noise_size: int, seed: int
) -> tuple[Tensor, Tensor, Tensor]:
    """Images in [-1, 1], sentences and noise of pairs evenly spread over `rows`."""
    rows = rows[np.linspace(0, len(rows) - 1, min(len(rows), NUM_EVALUATED)).round().astype(int)]
    images = torch.from_numpy(load_evaluation_images(manifest.iloc[rows], image_size)).permute(0, 3, 1, 2)
    noise = torch.randn(len(rows), noise_size, generator=torch_generator(seed, "dfgan", "validation noise"))
    return images.float() / 127.5 - 1, torch.from_numpy(sentences[rows]), noise
