"""Crops of the paper's Listings 1 and 2, and batches of them as a pure function of the step."""

import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pandas as pd
import torch
from PIL import Image
from torch import Tensor

from dalle.data.image_files import load_image
from dalle.data.manifest import Place, places
from dalle.randomness import batch_indices, numpy_generator

__all__ = ["Crop", "ImageBatches", "dvae_crop", "evaluation_crop", "load_evaluation_images", "load_image", "prior_crop"]

Crop = Callable[[np.ndarray, int, np.random.Generator], np.ndarray]


def dvae_crop(
    image: np.ndarray,
    size: int,
    rng: np.random.Generator,
    flip: bool = True,
    scale: tuple[float, float] = (9 / 8, 12 / 8),
) -> np.ndarray:
    """Listing 1: uint8 (H, W, 3) to (size, size, 3), a square from anywhere, scaled, cropped again, mirrored half the time.

    With s the short side, the square is resized to t x t, t uniform in [min(s, 9/8 size), min(s, 12/8 size)], both ends
    included; `scale` replaces the two fractions. Images with s < size, for which the listing fails, are enlarged to `size`.
    """
    height, width = image.shape[:2]
    side = min(height, width)
    top, left = rng.integers(height - side + 1), rng.integers(width - side + 1)
    scaled = _scale_square(image, top, left, _draw_scale(side, round(scale[0] * size), round(scale[1] * size), size, rng))
    cropped = _random_crop(scaled, size, rng)
    return cropped[:, ::-1] if flip and rng.random() < 0.5 else cropped


def prior_crop(image: np.ndarray, size: int, rng: np.random.Generator) -> np.ndarray:
    """Listing 2: uint8 (H, W, 3) to (size, size, 3), a square from near the middle, scaled, cropped again, never mirrored.

    The square's offset comes from the middle quarter of its free range, [3/8, 5/8) in whole pixels; it is resized to t x t,
    t uniform in [size, min(s, 9/8 size)], both ends included. Images with a short side s < size, for which the listing
    fails, are enlarged to `size`.
    """
    height, width = image.shape[:2]
    side = min(height, width)
    top, left = _central_offset(height - side, rng), _central_offset(width - side, rng)
    return _random_crop(_scale_square(image, top, left, _draw_scale(side, size, round(9 / 8 * size), size, rng)), size, rng)


def evaluation_crop(image: np.ndarray, size: int) -> np.ndarray:
    """uint8 (H, W, 3) to (size, size, 3): the short side to `size` by Lanczos, then the middle; as the released dVAE does."""
    height, width = image.shape[:2]
    scale = size / min(height, width)
    new_width, new_height = max(size, round(width * scale)), max(size, round(height * scale))
    scaled = Image.fromarray(image).resize((new_width, new_height), Image.Resampling.LANCZOS)
    left, top = (new_width - size) // 2, (new_height - size) // 2
    return np.asarray(scaled.crop((left, top, left + size, top + size)))


class ImageBatches:
    """`batches(step)`: the images of update number `step`, float32 (B, 3, size, size) in [0, 1].

    A pure function of the step, safe to call from many threads and in any order. Every row of the manifest is an item (see
    `one_row_per_image`). Decoded images are kept in memory until they fill `cache_bytes`; this changes speed, nothing else.
    """

    def __init__(
        self, manifest: pd.DataFrame, size: int, crop: Crop, batch_size: int, seed: int, *, cache_bytes: int = 2**31
    ) -> None:
        if manifest.empty:
            raise ValueError("there are no images to make batches from: the manifest has no rows")
        self.size, self.crop, self.batch_size, self.seed = size, crop, batch_size, seed
        self._places = places(manifest)
        self._cache: dict[Place, np.ndarray] = {}
        self._cache_room = cache_bytes
        self._lock = threading.Lock()

    def indices(self, step: int) -> np.ndarray:
        """Which rows of the manifest make up the batch, (B,) int64: for whoever needs their captions."""
        return batch_indices(step, batch_size=self.batch_size, num_items=len(self._places), seed=self.seed)

    def __call__(self, step: int) -> Tensor:
        crops = np.empty((self.batch_size, self.size, self.size, 3), np.uint8)
        for slot, index in enumerate(self.indices(step).tolist()):
            rng = numpy_generator(self.seed, "augment", step, slot)
            crops[slot] = self.crop(self._image(self._places[index]), self.size, rng)
        return torch.from_numpy(crops).permute(0, 3, 1, 2).float().div_(255)

    def _image(self, place: Place) -> np.ndarray:
        image = self._cache.get(place)
        if image is None:
            image = load_image(*place)
            with self._lock:
                if place not in self._cache and image.nbytes <= self._cache_room:
                    self._cache[place] = image
                    self._cache_room -= image.nbytes
        return image


def load_evaluation_images(manifest: pd.DataFrame, size: int) -> np.ndarray:
    """Every row's image through `evaluation_crop`: uint8 (N, size, size, 3), in the manifest's order."""
    images = np.empty((len(manifest), size, size, 3), np.uint8)

    def load(index: int, place: Place) -> None:
        images[index] = evaluation_crop(load_image(*place), size)

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for _ in pool.map(load, range(len(manifest)), places(manifest)):
            pass
    return images


def _draw_scale(side: int, low: int, high: int, size: int, rng: np.random.Generator) -> int:
    return int(rng.integers(max(size, min(side, low)), max(size, min(side, high)) + 1))


def _central_offset(free: int, rng: np.random.Generator) -> int:
    low = 3 * free // 8
    return int(rng.integers(low, max(low + 1, 5 * free // 8)))


def _scale_square(image: np.ndarray, top: int, left: int, scaled_side: int) -> np.ndarray:
    """The square of the image's short side at (top, left), resized to `scaled_side`: area averaging down, bilinear up.

    PIL's BOX filter averages the source pixels whose centres fall under a target pixel; TensorFlow's AREA also weighs those
    at the border. BOX is fixed-point arithmetic in one thread: the same bytes on every machine, and the fastest by far.
    Upwards BOX would repeat pixels.
    """
    side = min(image.shape[:2])
    square = Image.fromarray(image[top : top + side, left : left + side])
    resampling = Image.Resampling.BOX if scaled_side <= side else Image.Resampling.BILINEAR
    return np.asarray(square.resize((scaled_side, scaled_side), resampling))


def _random_crop(image: np.ndarray, size: int, rng: np.random.Generator) -> np.ndarray:
    top, left = rng.integers(image.shape[0] - size + 1), rng.integers(image.shape[1] - size + 1)
    return image[top : top + size, left : left + size]
