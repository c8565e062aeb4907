"""Training of the text encoder on a domain's own pairs, against regions that a frozen ImageNet network sees (Xu et al. 2018).

AttnGAN's network is Inception-v3 at 299 pixels: 17 x 17 regions of 768 numbers and a picture's 2048. Here features are handed
in ready, and EfficientNet-Lite0's replace them (`dalle.evaluation.regions`); that is ours.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from dalle.baselines.damsm.loss import Gammas, choice_loss, sentence_matches, word_matches
from dalle.baselines.damsm.model import Damsm, ImageEncoder, TextEncoder, TextEncoderConfig, caption_word_ids
from dalle.baselines.damsm.words import END, Vocabulary, build_vocabulary, padded, shortened, words_of
from dalle.data.manifest import one_row_per_image
from dalle.data.splits import assign_split
from dalle.randomness import batch_indices, derive_seed, numpy_generator
from dalle.training.checkpoint import Checkpoint
from dalle.training.log import Log
from dalle.training.loop import OptimConfig, RunOptions, train


@dataclass(frozen=True, kw_only=True)
class TrainDamsmConfig:
    """`min_count`: how often a word must occur not to be unknown. `valid_fraction`: of the images, held out from training.

    `validation_pairs`: how many held-out pairs with distinct captions retrieval is measured among (fewer where there are
    fewer), one an image.
    """

    encoder: TextEncoderConfig
    gammas: Gammas
    min_count: int
    valid_fraction: float
    validation_pairs: int
    optim: OptimConfig

    def __post_init__(self) -> None:
        if self.optim.shards != 1:
            raise ValueError(f"optim.shards must be 1, got {self.optim.shards}: the loss compares all pairs of a batch")
        if self.optim.batch_size < 2:
            raise ValueError("optim.batch_size must be at least 2: the other pairs of a batch are the wrong answers")
        if self.min_count < 1:
            raise ValueError(f"min_count must be at least 1, got {self.min_count}")
        if not 0 < self.valid_fraction < 1:
            raise ValueError(f"valid_fraction must be above 0 and below 1, got {self.valid_fraction}")
        if self.validation_pairs < 2:
            raise ValueError(f"validation_pairs must be at least 2, got {self.validation_pairs}")


@dataclass(frozen=True)
class ImageFeatures:
    """What the frozen network sees: `regions` (N, R, C) and `whole` (N, C'), any float type, a row an image."""

    regions: np.ndarray
    whole: np.ndarray

    def tensors(self, rows: np.ndarray) -> dict[str, Tensor]:
        return {name: torch.from_numpy(getattr(self, name)[rows]).float() for name in ("regions", "whole")}


def train_damsm(
    pairs: pd.DataFrame,
    features: ImageFeatures,
    config: TrainDamsmConfig,
    *,
    seed: int,
    options: RunOptions,
    checkpoint: Checkpoint,
    log: Log,
) -> tuple[TextEncoder, dict[str, float]]:
    """Train on most of `pairs`, validate on the images held out; returns the encoder and the last `valid/...` metrics.

    `pairs` is a manifest, all of it for training; `features` has a row for each of its images, as `one_row_per_image` orders
    them.
    """
    images = one_row_per_image(pairs)
    if not len(images) == len(features.regions) == len(features.whole):
        counts = f"{len(features.regions)} pictures' regions and {len(features.whole)} pictures"
        raise ValueError(f"the pairs have {len(images)} images, the features are of {counts}")
    training, held_out = _divided(pairs, config.valid_fraction, derive_seed(seed, "damsm", "valid"))
    torch.manual_seed(derive_seed(seed, "damsm", "weights"))
    text = TextEncoder(config.encoder, build_vocabulary(training["caption"], config.min_count))
    image = ImageEncoder(features.regions.shape[2], features.whole.shape[1], config.encoder.width)
    damsm = Damsm(text, image).to(options.device)
    validation = ValidationPairs(held_out, features, text, config)

    def loss_function(model: Damsm, batch: Mapping[str, Tensor], step: int, shard: int) -> tuple[Tensor, dict[str, Tensor]]:
        torch.manual_seed(derive_seed(seed, "damsm", "dropout", step))  # dropout knows torch's own generator only
        losses = damsm_losses(*damsm_matches(model, batch, config.gammas), batch["same"], config.gammas.gamma3)
        loss = sum(losses.values())
        return loss, {f"train/{name}": part.detach() for name, part in {"loss": loss, **losses}.items()}

    metrics = train(
        damsm,
        what="train_damsm",
        batch_at=DamsmBatches(training, features, text.vocabulary, config, seed=seed),
        loss_function=loss_function,
        validate=lambda model, step: validation.measure(model, options.device),
        optim=config.optim,
        options=options,
        checkpoint=checkpoint,
        log=log,
    )
    return text, metrics


def damsm_matches(model: Damsm, batch: Mapping[str, Tensor], gammas: Gammas) -> tuple[Tensor, Tensor]:
    """How well every picture of a batch matches every caption, (B, B): by words and regions, and as a whole. In float32."""
    words, sentences = model.text(batch["word_ids"])
    regions, whole = model.image(batch["regions"], batch["whole"])
    with torch.autocast(words.device.type, enabled=False):
        by_words = word_matches(words.float(), batch["word_ids"] != END, regions.float(), gammas)
        return by_words, sentence_matches(sentences.float(), whole.float())


def damsm_losses(by_words: Tensor, by_sentences: Tensor, same: Tensor, gamma3: float) -> dict[str, Tensor]:
    """The two parts whose sum is the loss."""
    return {"word_loss": choice_loss(by_words, same, gamma3), "sentence_loss": choice_loss(by_sentences, same, gamma3)}


class DamsmBatches:
    """Pictures, one caption of each and which pairs are the same, as a pure function of the update's number.

    An epoch shows every image once, with one of its captions. AttnGAN also crops and mirrors the pictures; here captions say
    what is left and what is right, and features are taken once.
    """

    def __init__(
        self, pairs: pd.DataFrame, features: ImageFeatures, vocabulary: Vocabulary, config: TrainDamsmConfig, *, seed: int
    ) -> None:
        self.features, self.config, self.seed = features, config, derive_seed(seed, "damsm", "batches")
        self.word_ids = [vocabulary.encode(caption) for caption in pairs["caption"]]
        self.images, self.captions = pairs["row"].to_numpy(), caption_groups(pairs["caption"])
        self.pairs_of = list(pairs.groupby("row", sort=False).indices.values())

    def __call__(self, step: int) -> dict[str, Tensor]:
        size, longest = self.config.optim.batch_size, self.config.encoder.max_words
        rng = numpy_generator(self.seed, "captions", step)
        items = batch_indices(step, batch_size=size, num_items=len(self.pairs_of), seed=self.seed)
        chosen = np.array([rng.choice(self.pairs_of[item]) for item in items.tolist()])
        rows = [shortened(self.word_ids[pair], longest, rng) for pair in chosen.tolist()]
        same = [group[chosen][:, None] == group[chosen] for group in (self.images, self.captions)]
        return {
            **self.features.tensors(self.images[chosen]),
            "word_ids": padded(rows, max(map(len, rows))),
            "same": torch.from_numpy(same[0] | same[1]),
        }


class ValidationPairs:
    """A fixed set of held-out pairs with distinct captions, each of which an image has to be matched with, all at once."""

    def __init__(self, pairs: pd.DataFrame, features: ImageFeatures, text: TextEncoder, config: TrainDamsmConfig) -> None:
        first = pairs.drop_duplicates("image_id")
        _, distinct = np.unique(caption_groups(first["caption"]), return_index=True)
        chosen = first.iloc[np.sort(distinct)[: config.validation_pairs]]
        self.gammas = config.gammas
        self.batch = {
            **features.tensors(chosen["row"].to_numpy()),
            "word_ids": caption_word_ids(text, chosen["caption"].tolist()),
            "same": torch.eye(len(chosen), dtype=torch.bool),
        }

    @torch.no_grad()
    def measure(self, model: Damsm, device: str) -> dict[str, float]:
        """Loss among all of them, and how often an image's caption is first or among the first five, as a whole or by words."""
        batch = {name: value.to(device) for name, value in self.batch.items()}
        by_words, by_sentences = damsm_matches(model, batch, self.gammas)
        losses = damsm_losses(by_words, by_sentences, batch["same"], self.gammas.gamma3)
        return {
            "valid/loss": float(sum(losses.values())),
            "valid/pairs": len(by_words),
            **retrieval("valid/retrieval", by_sentences),
            **retrieval("valid/word_retrieval", by_words),
        }


def retrieval(name: str, matches: Tensor) -> dict[str, float]:
    """How often the caption on the diagonal of (B, B) is the first of its picture's, or among the first five."""
    ranks = (matches > matches.diag()[:, None]).sum(dim=1)
    return {f"{name}_top{n}": float((ranks < n).float().mean()) for n in (1, 5)}


def caption_groups(captions: pd.Series) -> np.ndarray:
    """The same number for captions with the same words, (N,) int64."""
    return pd.factorize(captions.map(lambda caption: " ".join(words_of(caption))))[0].astype(np.int64)


def _divided(pairs: pd.DataFrame, valid_fraction: float, seed: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The pairs to train on and those of the images held out, with the number of each one's image as column `row`."""
    rows, image_ids = pd.factorize(pairs["image_id"])
    pairs, splits = pairs.assign(row=rows), assign_split(image_ids, valid_fraction, seed)
    num_train, num_valid = ((splits == name).sum() for name in ("train", "valid"))
    if min(num_train, num_valid) < 2:
        left = f"leaves {num_train} for training and {num_valid} held out; both must be at least 2"
        raise ValueError(f"valid_fraction {valid_fraction} of {len(image_ids)} images {left}")
    training, held_out = (pairs[splits[rows] == name].reset_index(drop=True) for name in ("train", "valid"))
    return training, held_out
