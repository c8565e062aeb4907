"""Images to the tokens a prior is trained on: the most probable code of each cell (PAPER 2.2), or one drawn (its note 6)."""

from concurrent.futures import ThreadPoolExecutor
from typing import Literal

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from dalle.data.images import evaluation_crop, load_image, prior_crop
from dalle.data.manifest import Place, one_row_per_image, places
from dalle.dvae.model import DVAE
from dalle.generation.categorical import draw_indices
from dalle.progress import track
from dalle.randomness import numpy_generator
from dalle.training.precision import autocast

Codes = Literal["argmax", "sampled"]


@torch.inference_mode()
def encode_images(
    dvae: DVAE, images: np.ndarray, *, batch_size: int, device: str, precision: str, uniform: np.ndarray | None = None
) -> np.ndarray:
    """uint8 (N, H, W, 3) -> uint16 (N, G*G) in raster order: the most probable codes.

    With `uniform` (N, G*G) in [0, 1) they are draws from the encoder's distribution q(codes | images), each decided by its
    number there.
    """
    dvae.to(device).eval()
    image_tokens = np.empty((len(images), dvae.config.grid_size**2), dtype=np.uint16)
    for start in range(0, len(images), batch_size):
        rows = slice(start, start + batch_size)
        batch = torch.from_numpy(images[rows]).to(device).permute(0, 3, 1, 2).float() / 255
        with autocast(device, precision):
            codes = dvae.encode(batch).flatten(1) if uniform is None else _sampled(dvae, batch, uniform[rows])
        image_tokens[rows] = codes.cpu().numpy()
    return image_tokens


def _sampled(dvae: DVAE, images: Tensor, uniform: np.ndarray) -> Tensor:
    """Codes (B, G*G) at these numbers; one image at a time, whose cumulative distributions in float64 are many enough."""
    cells = dvae.code_logits(images).flatten(2).transpose(1, 2)
    numbers = torch.from_numpy(uniform).to(images.device)
    return torch.stack([draw_indices(logits.softmax(-1), row) for logits, row in zip(cells, numbers, strict=True)])


def encode_views(
    dvae: DVAE,
    manifest: pd.DataFrame,
    *,
    num_views: int,
    codes: Codes,
    seed: int,
    batch_size: int,
    device: str,
    precision: str,
) -> np.ndarray:
    """Image tokens of several crops of every pair's image, uint16 (P, V, G*G): the evaluation crop, then draws of Listing 2.

    `codes` says which: the most probable ones, or one draw from the encoder's distribution for every view. A view and its
    draw are functions of (seed, image id, view): pairs that share an image share its tokens, and it is encoded once.
    """
    dvae.to(device).eval()
    size, grid = dvae.config.image_size, dvae.config.grid_size
    images = one_row_per_image(manifest)
    pictures = list(zip(images.image_id, places(images), strict=True))
    chunk = max(1, batch_size // num_views)

    def tokens_of(start: int) -> np.ndarray:
        part = pictures[start : start + chunk]
        crops = np.concatenate([_views(picture, num_views, size, seed) for picture in part])
        drawn = codes == "sampled"
        uniform = np.concatenate([_numbers(image_id, num_views, grid * grid, seed) for image_id, _ in part]) if drawn else None
        return encode_images(dvae, crops, batch_size=len(crops), device=device, precision=precision, uniform=uniform)

    starts = range(0, len(pictures), chunk)
    # every core has pictures of its own from bytes to tokens: no core waits for another, and their number changes no bit
    pool = ThreadPoolExecutor(torch.get_num_threads(), initializer=torch.set_num_threads, initargs=(1,))
    try:
        parts = list(track(pool.map(tokens_of, starts), what="tokens", unit=f"x {chunk} images", total=len(starts)))
    finally:
        pool.shutdown(cancel_futures=True)  # who stops waits for the chunks at hand alone
    image_tokens = np.concatenate(parts).reshape(-1, num_views, grid * grid)
    return image_tokens[pd.Index(images.image_id).get_indexer(manifest.image_id)]


def _views(picture: tuple[str, Place], num_views: int, size: int, seed: int) -> np.ndarray:
    """The crops of an image, uint8 (V, size, size, 3)."""
    image_id, place = picture
    image = load_image(*place)
    crops = [evaluation_crop(image, size)]
    crops += [prior_crop(image, size, numpy_generator(seed, "view", image_id, view)) for view in range(1, num_views)]
    return np.stack(crops)


def _numbers(image_id: str, num_views: int, num_cells: int, seed: int) -> np.ndarray:
    """What decides the draws of an image's codes, (V, G*G) in [0, 1)."""
    return np.stack([numpy_generator(seed, "codes", image_id, view).random(num_cells) for view in range(num_views)])
