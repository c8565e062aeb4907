"""Training of the contrastive model on the kept pairs: the reranker of PAPER 5, at the scale at hand."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from dalle.clip.loss import contrastive_loss
from dalle.clip.model import ClipConfig, TowerSizes, build_clip, clip_text_tokens, encode_images, encode_text, images_to_tensor
from dalle.data.bpe import CaptionTokenizer
from dalle.data.images import ImageBatches, load_evaluation_images, prior_crop
from dalle.randomness import derive_seed
from dalle.training.checkpoint import Checkpoint
from dalle.training.log import Log
from dalle.training.loop import OptimConfig, RunOptions, train
from dalle.training.precision import autocast

if TYPE_CHECKING:
    import open_clip

MAX_LOGIT_SCALE = math.log(100)  # as CLIP does: beyond it training becomes unstable


@dataclass(frozen=True, kw_only=True)
class TrainClipConfig:
    """`validation_pairs`: how many pairs with distinct captions retrieval is measured among (fewer where there are fewer)."""

    towers: TowerSizes
    validation_pairs: int
    optim: OptimConfig

    def __post_init__(self) -> None:
        if self.optim.shards != 1:
            raise ValueError(f"optim.shards must be 1, got {self.optim.shards}: the loss compares all pairs of a batch")
        if self.validation_pairs < 2:
            raise ValueError(f"validation_pairs must be at least 2, got {self.validation_pairs}")


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
) -> tuple["open_clip.CLIP", dict[str, float]]:
    """Train on the manifest's split 'train', validate on 'valid'; returns the model and the last `valid/...` metrics."""
    torch.manual_seed(derive_seed(seed, "clip", "weights"))
    # the tower's own resolution: the next that it can take, to which it resizes whatever it is shown
    resolution = -(-image_size // config.towers.shrinks) * config.towers.shrinks
    clip = build_clip(ClipConfig(image_size=resolution, text_vocab_size=tokenizer.vocab_size, towers=config.towers))
    clip = clip.to(options.device)
    batches = PairBatches(_split(manifest, "train"), tokenizer, config, image_size=image_size, seed=seed)
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
    """Images, text tokens and which captions are equal, as a pure function of the update's number."""

    def __init__(
        self, pairs: pd.DataFrame, tokenizer: CaptionTokenizer, config: TrainClipConfig, *, image_size: int, seed: int
    ) -> None:
        if config.optim.batch_size < 2:
            raise ValueError("optim.batch_size must be at least 2: the other pairs of a batch are the negatives")
        self.images = ImageBatches(pairs, image_size, prior_crop, config.optim.batch_size, derive_seed(seed, "clip", "batches"))
        self.text_tokens = clip_text_tokens(tokenizer, pairs["caption"].tolist(), config.towers.text_length)
        self.caption_groups = torch.from_numpy(caption_groups(pairs["caption"]))

    def __call__(self, step: int) -> dict[str, Tensor]:
        indices = torch.from_numpy(self.images.indices(step))
        groups = self.caption_groups[indices]
        text_tokens, same_caption = self.text_tokens[indices], groups[:, None] == groups
        return {"images": self.images(step), "text_tokens": text_tokens, "same_caption": same_caption}


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
    image_embeddings = encode_images(clip, batch["images"])
    text_embeddings = encode_text(clip, batch["text_tokens"])
    loss = contrastive_loss(image_embeddings, text_embeddings, clip.logit_scale.exp(), batch["same_caption"])
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
