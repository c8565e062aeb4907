"""Training of the detector: every picture of a batch against an altered copy of it (PAPER 3.2, as CLIP's authors did).

The copy is altered and the picture is not, as in the search, where one side is the published picture. In the same time two
altered copies of each, at twice the work, learnt to tell the miniature world's pictures apart less well.
"""

import threading
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from dalle.data.images import load_image
from dalle.data.manifest import one_row_per_image, places
from dalle.overlap.copies import MOST_CUT, altered_copy, squeezed
from dalle.overlap.embedding import Embed, embedder, pictures, to_tensor
from dalle.overlap.loss import info_nce
from dalle.overlap.model import Detector, DetectorConfig
from dalle.overlap.scoring import calibration
from dalle.overlap.search import UNIT
from dalle.randomness import batch_indices, derive_seed, numpy_generator
from dalle.training.checkpoint import Checkpoint
from dalle.training.log import Log
from dalle.training.loop import OptimConfig, RunOptions, train

CANVAS = 1 / (1 - MOST_CUT)  # of the detector's side: what is left of the shortest cut still has a pixel for each of it
CACHE_BYTES = 2**31
BATCH = 64  # validation pictures at a time


@dataclass(frozen=True, kw_only=True)
class TrainDetectorConfig:
    """`validation_images`: how many held-out images are copied and searched for (fewer where there are fewer).

    `validation_precision`: which share of what the suggested threshold finds among them must be copies. Among the many more
    training images of a search there are nearer likes: its threshold lies higher.
    """

    network: DetectorConfig
    temperature: float
    validation_images: int
    validation_precision: float
    optim: OptimConfig

    def __post_init__(self) -> None:
        if self.optim.shards != 1:
            raise ValueError(f"optim.shards must be 1, got {self.optim.shards}: the loss compares all pictures of a batch")
        if self.optim.batch_size < 2:
            raise ValueError("optim.batch_size must be at least 2: the other pictures of a batch are the wrong answers")
        if self.temperature <= 0:
            raise ValueError(f"temperature must be above 0, got {self.temperature}")
        if self.validation_images < 2:
            raise ValueError(f"validation_images must be at least 2, got {self.validation_images}")
        if not 0 < self.validation_precision <= 1:
            raise ValueError(f"validation_precision must be above 0 and at most 1, got {self.validation_precision}")


def train_detector(
    manifest: pd.DataFrame,
    config: TrainDetectorConfig,
    *,
    seed: int,
    options: RunOptions,
    checkpoint: Checkpoint,
    log: Log,
) -> tuple[Detector, dict[str, float]]:
    """Train on the images of the manifest's split 'train', validate on 'valid'; the model and the last `valid/...` metrics."""
    torch.manual_seed(derive_seed(seed, "detector", "weights"))
    detector = Detector(config.network).to(options.device, memory_format=torch.channels_last)
    images = one_row_per_image(manifest)
    batches = CopyBatches(_split(images, "train"), config, seed)
    validation = ValidationCopies(_split(images, "valid").head(config.validation_images), config, seed)

    def loss_function(model: Detector, batch: Mapping[str, Tensor], step: int, shard: int) -> tuple[Tensor, dict[str, Tensor]]:
        loss = info_nce(model(batch["originals"]), model(batch["copies"]), config.temperature, batch["same_picture"])
        return loss, {"train/loss": loss.detach()}

    def validate(model: Detector, step: int) -> dict[str, float]:
        return validation.measure(embedder(model, options.device, config.optim.precision))

    metrics = train(
        detector,
        what="train_detector",
        batch_at=batches,
        loss_function=loss_function,
        validate=validate,
        optim=config.optim,
        options=options,
        checkpoint=checkpoint,
        log=log,
    )
    return detector, metrics


class CopyBatches:
    """Pictures, copies, and which of them are one picture, as a pure function of the update's number.

    Pictures are kept a little larger than the detector sees them, until they fill CACHE_BYTES; that changes speed alone.
    """

    def __init__(self, images: pd.DataFrame, config: TrainDetectorConfig, seed: int) -> None:
        self.size, self.batch_size = config.network.image_size, config.optim.batch_size
        self.seed = derive_seed(seed, "detector", "batches")
        self._places = places(images)
        self._cache: dict[int, np.ndarray] = {}
        self._cache_room = CACHE_BYTES
        self._lock = threading.Lock()

    def __call__(self, step: int) -> dict[str, Tensor]:
        indices = batch_indices(step, batch_size=self.batch_size, num_items=len(self._places), seed=self.seed)
        canvases = [self._canvas(index) for index in indices.tolist()]
        rngs = [numpy_generator(self.seed, "copy", step, slot) for slot in range(len(indices))]
        copies = [altered_copy(canvas, self.size, rng) for canvas, rng in zip(canvases, rngs, strict=True)]
        return {
            "originals": to_tensor(np.stack([squeezed(canvas, self.size) for canvas in canvases])),
            "copies": to_tensor(np.stack(copies)),
            "same_picture": torch.from_numpy(indices[:, None] == indices),
        }

    def _canvas(self, index: int) -> np.ndarray:
        canvas = self._cache.get(index)
        if canvas is None:
            canvas = squeezed(load_image(*self._places[index]), round(CANVAS * self.size))
            with self._lock:
                if index not in self._cache and canvas.nbytes <= self._cache_room:
                    self._cache[index] = canvas
                    self._cache_room -= canvas.nbytes
        return canvas


class ValidationCopies:
    """Held-out pictures and a fixed altered copy of each, every other one mirrored, which are to be told from their like."""

    def __init__(self, images: pd.DataFrame, config: TrainDetectorConfig, seed: int) -> None:
        self.config, size = config, config.network.image_size
        canvases = np.concatenate(list(pictures(images, round(CANVAS * size), BATCH)))
        copies = [altered_copy(canvas, size, numpy_generator(seed, "copy", number)) for number, canvas in enumerate(canvases)]
        self.originals = np.stack([squeezed(canvas, size) for canvas in canvases])
        self.copies = np.stack([copy[:, :: 1 - 2 * (number % 2)] for number, copy in enumerate(copies)])

    def measure(self, embed: Embed) -> dict[str, float]:
        """InfoNCE over all of them, how many copies are nearest to their own original, and a threshold from both."""
        to_originals, between = (self._similarity(embed, images) for images in (self.copies, self.originals))
        own = to_originals.diagonal().copy()
        np.fill_diagonal(between, -1)
        others = to_originals.copy()
        np.fill_diagonal(others, -1)
        mistaken = others.max(1)[others.max(1) > own]
        logits = torch.from_numpy(to_originals / self.config.temperature)
        return {
            "valid/loss": float(cross_entropy(logits, torch.arange(len(logits)))),
            "valid/top1": float((own > others.max(1)).mean()),
            **calibration(own, np.concatenate([mistaken, between.max(1)]), self.config.validation_precision),
        }

    def _similarity(self, embed: Embed, images: np.ndarray) -> np.ndarray:
        """Cosines (n, n) of images with the originals, of either way round the closer: as the search compares."""
        originals = _embedded(embed, self.originals)
        return np.maximum(*(_embedded(embed, views) @ originals.T for views in (images, images[:, :, ::-1])))


def _embedded(embed: Embed, images: np.ndarray) -> np.ndarray:
    batches = [embed(images[start : start + BATCH]) for start in range(0, len(images), BATCH)]
    return np.concatenate(batches).astype(np.float64) / UNIT


def _split(images: pd.DataFrame, split: str) -> pd.DataFrame:
    chosen = images[images["split"] == split].reset_index(drop=True)
    if len(chosen) < 2:
        raise ValueError(f"the manifest has {len(chosen)} images of split '{split}'; contrastive training needs at least 2")
    return chosen
