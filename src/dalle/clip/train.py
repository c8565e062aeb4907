"""Training of the contrastive model on the kept pairs: the reranker of PAPER 5, at the scale at hand.

Among 32,768 captions CLIP meets captions that differ in a word and pictures that are nearly right. A small batch holds
neither, so they can be made: see `NegativesConfig`.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from dalle.clip.loss import contrastive_loss
from dalle.clip.model import ClipConfig, TowerSizes, build_clip, clip_text_tokens, encode_images, encode_text, images_to_tensor
from dalle.clip.negatives import WordNegatives
from dalle.data.bpe import CaptionTokenizer
from dalle.data.images import Crop, ImageBatches, evaluation_crop, load_evaluation_images, prior_crop
from dalle.randomness import batch_indices, derive_seed, numpy_generator
from dalle.training.checkpoint import Checkpoint
from dalle.training.log import Log
from dalle.training.loop import OptimConfig, RunOptions, train
from dalle.training.precision import autocast

if TYPE_CHECKING:
    import open_clip

MAX_LOGIT_SCALE = math.log(100)  # as CLIP does: beyond it training becomes unstable


@dataclass(frozen=True, kw_only=True)
class NegativesConfig:
    """What a pair is told from beside the other pairs of its batch.

    `words`: its own caption with two words swapped, or one replaced by a word of its kind (`dalle.clip.negatives`).
    `pictures`: how many training pairs are also shown through the dVAE, as candidates are; they make up half of every batch.
    Each comes with `mixed` pictures of its codes with a rectangle of another picture's, and `sampled` ones that the prior
    draws for its caption. Of those some are right; the loss then learns how often they are not.
    """

    words: bool
    pictures: int
    mixed: int
    sampled: int

    def __post_init__(self) -> None:
        for name in ("pictures", "mixed", "sampled"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} must not be negative, got {getattr(self, name)}")
        if not self.pictures and (self.mixed or self.sampled):
            raise ValueError(f"mixed ({self.mixed}) and sampled ({self.sampled}) are for each of pictures, which is 0")


@dataclass(frozen=True, kw_only=True)
class Pool:
    """Pairs that are shown through the dVAE: `pair_ids` (P,), `images` uint8 (P, 1 + negatives, H, W, 3), its own first."""

    pair_ids: np.ndarray
    images: np.ndarray


@dataclass(frozen=True, kw_only=True)
class TrainClipConfig:
    """`validation_pairs`: how many pairs with distinct captions retrieval is measured among (fewer where there are fewer).

    `max_shift`: pictures are the evaluation crop moved by up to as many pixels; None for the crops of Listing 2.
    """

    towers: TowerSizes
    negatives: NegativesConfig
    max_shift: int | None
    validation_pairs: int
    optim: OptimConfig

    def __post_init__(self) -> None:
        if self.optim.shards != 1:
            raise ValueError(f"optim.shards must be 1, got {self.optim.shards}: the loss compares all pairs of a batch")
        if self.validation_pairs < 2:
            raise ValueError(f"validation_pairs must be at least 2, got {self.validation_pairs}")
        if self.max_shift is not None and self.max_shift < 0:
            raise ValueError(f"max_shift must not be negative, got {self.max_shift}: null stands for the crops of Listing 2")


def train_clip(
    manifest: pd.DataFrame,
    tokenizer: CaptionTokenizer,
    config: TrainClipConfig,
    *,
    image_size: int,
    seed: int,
    options: RunOptions,
    checkpoint: Checkpoint,
    log: Log,
    pool: Pool | None = None,
) -> tuple["open_clip.CLIP", dict[str, float]]:
    """Train on the manifest's split 'train', validate on 'valid'; returns the model and the last `valid/...` metrics.

    `pool` holds pictures for half of every batch, where `config.negatives.pictures` asks for some.
    """
    torch.manual_seed(derive_seed(seed, "clip", "weights"))
    # the tower's own resolution: the next that it can take, to which it resizes whatever it is shown
    resolution = -(-image_size // config.towers.shrinks) * config.towers.shrinks
    clip = build_clip(ClipConfig(image_size=resolution, text_vocab_size=tokenizer.vocab_size, towers=config.towers))
    clip = clip.to(options.device)
    batches = PairBatches(_split(manifest, "train"), tokenizer, config, image_size=image_size, seed=seed, pool=pool)
    validation = ValidationPairs(_split(manifest, "valid"), tokenizer, config, image_size=image_size)

    def validate(model: "open_clip.CLIP", step: int) -> dict[str, float]:
        with autocast(options.device, config.optim.precision):
            return validation.measure(model, options.device)

    metrics = train(
        clip,
        what="train_clip",
        batch_at=batches,
        loss_function=clip_loss,
        validate=validate,
        optim=config.optim,
        options=options,
        checkpoint=checkpoint,
        log=log,
    )
    return clip, metrics


class PairBatches:
    """Images, text tokens and which captions are equal, as a pure function of the update's number; and what they are told from.

    `negative_images` (B', n, 3, H, W) belong to the last B' pairs, `negative_text` (B, T) to all; `has_negative_text` says
    where there is none.
    """

    def __init__(
        self,
        pairs: pd.DataFrame,
        tokenizer: CaptionTokenizer,
        config: TrainClipConfig,
        *,
        image_size: int,
        seed: int,
        pool: Pool | None = None,
    ) -> None:
        if config.optim.batch_size < 2:
            raise ValueError("optim.batch_size must be at least 2: the other pairs of a batch are the negatives")
        self.tokenizer, self.text_length, self.seed = tokenizer, config.towers.text_length, derive_seed(seed, "clip", "batches")
        self.pool, self.max_shift = pool, config.max_shift
        self.num_pooled = config.optim.batch_size // 2 if pool is not None else 0
        crop: Crop = prior_crop if config.max_shift is None else partial(shifted_crop, max_shift=config.max_shift)
        self.images = ImageBatches(pairs, image_size, crop, config.optim.batch_size - self.num_pooled, self.seed)
        self.captions = pairs["caption"].to_numpy(dtype=object)
        self.text_tokens = clip_text_tokens(tokenizer, pairs["caption"].tolist(), self.text_length)
        self.caption_groups = torch.from_numpy(caption_groups(pairs["caption"]))
        self.words = WordNegatives(self.captions.tolist()) if config.negatives.words else None
        if pool is not None:
            self.pool_rows = pd.Index(pairs["pair_id"]).get_indexer(pool.pair_ids)
            if (self.pool_rows < 0).any():
                raise ValueError("the pool holds pairs that are not in the training split: make it anew")

    def __call__(self, step: int) -> dict[str, Tensor]:
        rows, images, batch = self.images.indices(step), self.images(step), {}
        if self.pool is not None:
            chosen = batch_indices(step, batch_size=self.num_pooled, num_items=len(self.pool_rows), seed=self.seed + 1)
            shown = self._pooled(chosen, step)
            rows, images = np.concatenate([rows, self.pool_rows[chosen]]), torch.cat([images, shown[:, 0]])
            batch["negative_images"] = shown[:, 1:]
        groups = self.caption_groups[torch.from_numpy(rows)]
        batch |= {"images": images, "text_tokens": self.text_tokens[rows], "same_caption": groups[:, None] == groups}
        if self.words is not None:
            batch |= self._negative_text(rows, step)
        return batch

    def _pooled(self, chosen: np.ndarray, step: int) -> Tensor:
        """The pictures of these pairs of the pool, float32 (B', 1 + n, 3, H, W), each moved a little."""
        images = np.array(self.pool.images[np.sort(chosen)])[np.argsort(np.argsort(chosen))]
        rng = numpy_generator(self.seed, "shift", step)
        moved = [[shifted(image, self.max_shift or 0, rng) for image in row] for row in images]
        return torch.from_numpy(np.stack([np.stack(row) for row in moved])).permute(0, 1, 4, 2, 3).float() / 255

    def _negative_text(self, rows: np.ndarray, step: int) -> dict[str, Tensor]:
        rng, captions = numpy_generator(self.seed, "words", step), self.captions[rows].tolist()
        negatives = [self.words.negative(caption, rng) for caption in captions]
        filled = [negative or caption for negative, caption in zip(negatives, captions, strict=True)]
        present = torch.tensor([negative is not None for negative in negatives])
        return {
            "negative_text": clip_text_tokens(self.tokenizer, filled, self.text_length),
            "has_negative_text": present,
        }


def shifted_crop(image: np.ndarray, size: int, rng: np.random.Generator, *, max_shift: int) -> np.ndarray:
    """The evaluation crop of uint8 (H, W, 3), moved by up to `max_shift` pixels."""
    return shifted(evaluation_crop(image, size), max_shift, rng)


def shifted(image: np.ndarray, max_shift: int, rng: np.random.Generator) -> np.ndarray:
    """uint8 (S, S, 3) moved by up to `max_shift` pixels either way, its edges repeated."""
    down, right = rng.integers(-max_shift, max_shift + 1, 2)
    rows = np.clip(np.arange(image.shape[0]) + down, 0, image.shape[0] - 1)
    columns = np.clip(np.arange(image.shape[1]) + right, 0, image.shape[1] - 1)
    return image[rows][:, columns]


class ValidationPairs:
    """A fixed set of pairs with distinct captions, each of which an image has to be matched with."""

    def __init__(self, pairs: pd.DataFrame, tokenizer: CaptionTokenizer, config: TrainClipConfig, *, image_size: int) -> None:
        _, first = np.unique(caption_groups(pairs["caption"]), return_index=True)
        chosen = pairs.iloc[np.sort(first)[: config.validation_pairs]]
        self.images = images_to_tensor(load_evaluation_images(chosen, image_size))
        self.text_tokens = clip_text_tokens(tokenizer, chosen["caption"].tolist(), config.towers.text_length)

    @torch.no_grad()
    def measure(self, clip: "open_clip.CLIP", device: str) -> dict[str, float]:
        """Loss, and how often an image's caption is first or among the first five of all captions."""
        image_embeddings = torch.cat([encode_images(clip, images.to(device)) for images in self.images.split(256)])
        text_embeddings = encode_text(clip, self.text_tokens.to(device))
        distinct = torch.eye(len(image_embeddings), dtype=torch.bool, device=device)
        loss = contrastive_loss(image_embeddings, text_embeddings, clip.logit_scale.exp(), distinct)
        similarities = image_embeddings @ text_embeddings.T
        ranks = (similarities > similarities.diag()[:, None]).sum(dim=1)
        return {
            "valid/loss": float(loss),
            "valid/retrieval_top1": float((ranks < 1).float().mean()),
            "valid/retrieval_top5": float((ranks < 5).float().mean()),
        }


def clip_loss(clip: "open_clip.CLIP", batch: Mapping[str, Tensor], step: int, shard: int) -> tuple[Tensor, dict[str, Tensor]]:
    """The contrastive loss of a batch; the logit scale is held below 100 by clamping it before use."""
    with torch.no_grad():
        clip.logit_scale.clamp_(0, MAX_LOGIT_SCALE)
    images, text = [batch["images"]], [batch["text_tokens"]]
    if "negative_images" in batch:
        images.append(batch["negative_images"].flatten(0, 1))
    if "negative_text" in batch:
        text.append(batch["negative_text"])
    size = len(batch["images"])
    image_embeddings, negative_images = encode_images(clip, torch.cat(images)).tensor_split([size])
    text_embeddings, negative_text = encode_text(clip, torch.cat(text)).tensor_split([size])
    loss = contrastive_loss(
        image_embeddings,
        text_embeddings,
        clip.logit_scale.exp(),
        batch["same_caption"],
        negative_images=negative_images.unflatten(0, batch["negative_images"].shape[:2]) if len(images) > 1 else None,
        negative_text=negative_text if len(text) > 1 else None,
        has_negative_text=batch.get("has_negative_text"),
    )
    return loss, {"train/loss": loss.detach(), "train/logit_scale": clip.logit_scale.detach().exp()}


def caption_groups(captions: pd.Series) -> np.ndarray:
    """The same number for captions that differ in case, spaces and final full stops only, (N,) int64."""
    normalised = captions.str.lower().str.split().str.join(" ").str.rstrip(".")
    return pd.factorize(normalised)[0].astype(np.int64)


def _split(manifest: pd.DataFrame, split: str) -> pd.DataFrame:
    pairs = manifest[manifest["split"] == split].reset_index(drop=True)
    if len(pairs) < 2:
        raise ValueError(f"the manifest has {len(pairs)} pairs of split '{split}'; contrastive training needs at least 2")
    return pairs
