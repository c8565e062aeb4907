"""Pictures of a manifest -> embeddings, batch by batch: only whole numbers are kept, and finished chunks survive a kill."""

import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import islice
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from PIL import Image

from dalle.data.images import load_image
from dalle.data.manifest import Place, places
from dalle.overlap.copies import squeezed
from dalle.overlap.model import Detector
from dalle.overlap.search import quantized
from dalle.progress import track
from dalle.training.precision import Precision, autocast

CHUNK_BATCHES = 64  # batches in a file that a killed search finds again
THUMBNAIL = 16  # pixels a side
Embed = Callable[[np.ndarray], np.ndarray]  # uint8 (B, size, size, 3) -> int16 (B, D)


def embedder(detector: Detector, device: str, precision: Precision) -> Embed:
    """The detector, in evaluation mode on `device`, as a function of pixels."""
    detector = detector.to(device).eval()
    return partial(_embed, detector, device, precision)


def thumbnails(images: np.ndarray) -> np.ndarray:
    """What needs no training: small pictures less their mean colour, whose cosine is their correlation."""
    small = [np.asarray(Image.fromarray(image).resize((THUMBNAIL, THUMBNAIL), Image.Resampling.BOX)) for image in images]
    values = np.stack(small).reshape(len(images), -1, 3).astype(np.float64)
    values = (values - values.mean(axis=1, keepdims=True)).reshape(len(images), -1)
    lengths = np.linalg.norm(values, axis=1, keepdims=True)
    return quantized(torch.from_numpy(values / np.maximum(lengths, 1e-9)))


def embedded_chunks(embed: Embed, manifest: pd.DataFrame, size: int, folder: Path, *, batch_size: int) -> Iterator[np.ndarray]:
    """int16 (n, D) of chunk after chunk of the manifest's rows, in their order; chunks that are in `folder` are not redone.

    Pictures are decoded in threads ahead of the network; no more than a chunk's, `size` pixels a side, are held.
    """
    folder.mkdir(parents=True, exist_ok=True)
    length = CHUNK_BATCHES * batch_size
    for start in track(range(0, len(manifest), length), what=folder.name, unit=f"x {length} images"):
        file = folder / f"{start:09d}.npy"
        if not file.is_file():
            chunk = np.concatenate(list(map(embed, pictures(manifest.iloc[start : start + length], size, batch_size))))
            temporary = file.with_suffix(".tmp")
            with open(temporary, "wb") as stream:
                np.save(stream, chunk)
            os.replace(temporary, file)
        yield np.load(file)


def pictures(manifest: pd.DataFrame, size: int, batch_size: int) -> Iterator[np.ndarray]:
    """Every row's whole picture, in batches uint8 (B, size, size, 3)."""

    def load(place: Place) -> np.ndarray:
        return squeezed(load_image(*place), size)

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        loaded = pool.map(load, places(manifest))
        while batch := list(islice(loaded, batch_size)):
            yield np.stack(batch)


def to_tensor(images: np.ndarray) -> torch.Tensor:
    """uint8 (B, H, W, 3) -> float32 (B, 3, H, W) in [0, 1]."""
    return torch.from_numpy(np.ascontiguousarray(images)).permute(0, 3, 1, 2).float() / 255


@torch.inference_mode()
def _embed(detector: Detector, device: str, precision: str, images: np.ndarray) -> np.ndarray:
    with autocast(device, precision):
        return quantized(detector(to_tensor(images).to(device)))
