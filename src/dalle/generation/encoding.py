"""Images to the tokens that the prior is trained on (PAPER 2.2: the most probable code of each cell, no Gumbel noise)."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pandas as pd
import torch

from dalle.data.images import evaluation_crop, load_image, prior_crop
from dalle.dvae.model import DVAE
from dalle.progress import track
from dalle.randomness import numpy_generator
from dalle.training.precision import autocast


@torch.inference_mode()
def encode_images(dvae: DVAE, images: np.ndarray, *, batch_size: int, device: str, precision: str) -> np.ndarray:
    """uint8 (N, H, W, 3) -> uint16 (N, G*G) in raster order."""
    dvae.to(device).eval()
    image_tokens = np.empty((len(images), dvae.config.grid_size**2), dtype=np.uint16)
    for start in range(0, len(images), batch_size):
        batch = torch.from_numpy(images[start : start + batch_size]).to(device).permute(0, 3, 1, 2).float() / 255
        with autocast(device, precision):
            codes = dvae.encode(batch)
        image_tokens[start : start + batch_size] = codes.flatten(1).cpu().numpy()
    return image_tokens


def encode_views(
    dvae: DVAE, manifest: pd.DataFrame, *, num_views: int, seed: int, batch_size: int, device: str, precision: str
) -> np.ndarray:
    """Image tokens of several crops of every pair's image, uint16 (P, V, G*G): the evaluation crop, then draws of Listing 2.

    A view is a function of (seed, image id, view), so pairs that share an image share its tokens.
    """
    size, grid = dvae.config.image_size, dvae.config.grid_size
    places = list(zip(manifest.image_id, manifest.file, manifest.offset, manifest.num_bytes, strict=True))
    image_tokens = np.empty((len(places), num_views, grid * grid), dtype=np.uint16)
    chunk = max(1, batch_size // num_views)

    def views(place: tuple[str, str, int, int]) -> np.ndarray:
        image = load_image(*place[1:])
        crops = [evaluation_crop(image, size)]
        crops += [prior_crop(image, size, numpy_generator(seed, "view", place[0], view)) for view in range(1, num_views)]
        return np.stack(crops)

    with ThreadPoolExecutor() as pool:
        for start in track(range(0, len(places), chunk), what="tokens", unit=f"x {chunk} pairs"):
            images = np.concatenate(list(pool.map(views, places[start : start + chunk])))
            tokens = encode_images(dvae, images, batch_size=len(images), device=device, precision=precision)
            image_tokens[start : start + chunk] = tokens.reshape(-1, num_views, grid * grid)
    return image_tokens
