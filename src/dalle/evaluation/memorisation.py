"""Whether images are copies of training images: the nearest one, and whether it is much nearer than the ones after it.

Distance alone finds no copies: plain pictures lie near many others. As Carlini et al. 2023 (arXiv 2301.13188) do, the distance
to the nearest training image is therefore taken relative to the distances of those that follow: an image whose nearest
neighbour is less than half as far as the others are on average counts as its copy. Real images held out of the training show
what is usual; those of them that are in the training set after all are found as well, and tell that copies would be.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch

NUM_OTHERS = 50  # training images after the nearest that say how far is usual
COPY = 0.5  # relative distance below which an image is a copy
COLUMNS = ("model", "image", "nearest", "distance", "relative")


class Nearest(NamedTuple):
    """Of Q images: which training image is nearest (int64), how far it is, and that relative to the next ones (float64)."""

    index: np.ndarray
    distance: np.ndarray
    relative: np.ndarray

    @property
    def copies(self) -> np.ndarray:
        return self.relative < COPY


def nearest_training_images(images: np.ndarray, training: Iterable[np.ndarray]) -> Nearest:
    """The nearest of all training images to each of `images`, float32 (Q, d), by the root mean square of the d differences.

    `training` comes in blocks (n, V, d) of V views an image, of which the nearest counts; no more than one block and Q times
    NUM_OTHERS + 1 distances are held at a time.
    """
    queries = torch.from_numpy(images)
    squares, kept, seen = queries.square().sum(1, keepdim=True), torch.empty(len(images), 0), 0
    indices = torch.empty(len(images), 0, dtype=torch.int64)
    for block in map(torch.from_numpy, training):
        views = block.flatten(0, 1)
        to_views = squares + views.square().sum(1) - 2 * queries @ views.T
        to_images = to_views.view(len(images), len(block), -1).amin(2)
        here = torch.arange(seen, seen + len(block)).expand(len(images), -1)
        kept, indices = torch.cat([kept, to_images], 1), torch.cat([indices, here], 1)
        kept, order = kept.topk(min(NUM_OTHERS + 1, kept.shape[1]), largest=False)
        indices, seen = indices.gather(1, order), seen + len(block)
    if seen < 2:
        raise ValueError(f"there must be 2 training images at least to tell near from far, got {seen}")
    distances = (kept.double().clamp(min=0) / images.shape[1]).sqrt().numpy()
    usual = np.maximum(distances[:, 1:].mean(1), np.finfo(float).tiny)
    return Nearest(indices[:, 0].numpy(), distances[:, 0], distances[:, 0] / usual)


def memorisation_metrics(found: Mapping[str, Nearest]) -> dict[str, float]:
    """Shares of copies and median distances of every model, and how often `dalle` is nearer than `real` held-out images.

    `nearer_than_real` is the chance that a sample is nearer to the training set than a real image, ties counted half: one half
    where they are alike, and near 1 for a model that repeats what it was trained on.
    """
    metrics = {}
    for model, nearest in found.items():
        metrics[f"memorisation/copies_{model}"] = float(nearest.copies.mean())
        metrics[f"memorisation/distance_{model}"] = float(np.median(nearest.distance))
        metrics[f"memorisation/relative_{model}"] = float(np.median(nearest.relative))
    ours, real = found["dalle"].distance, np.sort(found["real"].distance)
    not_farther = (np.searchsorted(real, ours, "left") + np.searchsorted(real, ours, "right")) / 2
    return {**metrics, "memorisation/nearer_than_real": float(1 - not_farther.mean() / len(real))}


def write_nearest(found: Mapping[str, Nearest], training_ids: np.ndarray, path: Path) -> None:
    """A row an image, `model, image, nearest, distance, relative`; `image` counts the model's, `nearest` is a training id."""
    frames = [
        pd.DataFrame(
            {
                "model": model,
                "image": range(len(nearest.index)),
                "nearest": training_ids[nearest.index],
                "distance": nearest.distance,
                "relative": nearest.relative,
            }
        )
        for model, nearest in found.items()
    ]
    pd.concat(frames).to_csv(path, index=False, float_format="%.6g", lineterminator="\n")


def read_nearest(path: Path) -> pd.DataFrame:
    """What `write_nearest` wrote; other columns are a `ValueError`."""
    frame = pd.read_csv(path, dtype={"model": str, "nearest": str}, keep_default_na=False)
    if tuple(frame.columns) != COLUMNS:
        raise ValueError(f"{path}: expected the columns {', '.join(COLUMNS)}, found {', '.join(frame.columns)}")
    return frame
