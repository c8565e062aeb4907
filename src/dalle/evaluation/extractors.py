"""Every kind of features by its name; numbers under different names must never share an axis."""

from collections.abc import Callable
from typing import Protocol

import numpy as np
import torch

from dalle.evaluation.features import Extractor, load_extractor
from dalle.evaluation.inception import TF_WEIGHTS, TORCHVISION_WEIGHTS, DMGANInception, TFInception

PUBLISHED = {"inception": (TF_WEIGHTS, TFInception), "dmgan": (TORCHVISION_WEIGHTS, DMGANInception)}
FEATURES = ("lite0", *PUBLISHED, "clip")
CHUNK = 512


class FeatureExtractor(Protocol):
    """uint8 images (N, H, W, 3) -> features float32 (N, d), logits float32 (N, classes); no classes, no inception score."""

    name: str

    def __call__(self, images: np.ndarray) -> tuple[np.ndarray, np.ndarray]: ...


def open_extractor(name: str, device: str, *, weights: str | None, sha256: str | None) -> Extractor:
    """The network called `name`, of FEATURES but `clip` (see `ClipFeatures`); `weights` is the file it needs, if any.

    `sha256` is how the file's hash begins; None is the hash of the published file.
    """
    if name not in PUBLISHED:
        return load_extractor(name, device)
    require_weights(name, weights)
    published, network = PUBLISHED[name]
    return network(published.read(weights, sha256), device)


def require_weights(name: str, weights: str | None) -> None:
    """A ValueError where the features called `name` need a file and none is given: which, from where, and what needs none."""
    if name in PUBLISHED and weights is None:
        wanted = PUBLISHED[name][0].wanted
        raise ValueError(f"features: {wanted}: give its path as weights. Without any file, features: lite0 works")


class ClipFeatures:
    """The image tower of a CLIP that is handed in: `encode` gives unit vectors (N, d) of uint8 images (N, H, W, 3)."""

    name = "clip"

    def __init__(self, encode: Callable[[np.ndarray], np.ndarray]) -> None:
        self._encode = encode

    @torch.inference_mode()
    def __call__(self, images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        chunks = [self._encode(images[start : start + CHUNK]) for start in range(0, len(images), CHUNK)]
        features = np.concatenate(chunks)
        return features, features[:, :0]
