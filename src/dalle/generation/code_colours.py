"""Images as the colours of their codes: small, cheap, and the same for equal codes; for finding copies among many."""

from collections.abc import Iterator

import numpy as np
import torch

from dalle.data.token_store import TokenStore
from dalle.dvae.model import DVAE

CODES_AT_ONCE = 512
IMAGES_AT_ONCE = 1024


@torch.inference_mode()
def code_colours(dvae: DVAE, device: str) -> np.ndarray:
    """The mean colour that each code paints among its like, float32 (K, 3) in [0, 1]: the middle of a 3 x 3 grid of it."""
    dvae.to(device).eval()
    side, colours = dvae.config.downsampling, []
    for codes in torch.arange(dvae.config.codebook_size, device=device).split(CODES_AT_ONCE):
        painted = dvae.decode(codes[:, None, None].expand(-1, 3, 3))
        colours.append(painted[:, :, side : 2 * side, side : 2 * side].mean((2, 3)))
    return torch.cat(colours).cpu().numpy()


def colours_of(image_tokens: np.ndarray, colours: np.ndarray) -> np.ndarray:
    """Image tokens (..., G*G) -> float32 (..., G*G*3): the colours of their codes, cell by cell."""
    return colours[image_tokens].reshape(*image_tokens.shape[:-1], -1)


def training_rows(store: TokenStore) -> np.ndarray:
    """One row of the store for every image of its `train` split: pairs that share an image share its tokens."""
    return np.flatnonzero((store.pairs["split"] == "train") & ~store.pairs["image_id"].duplicated())


def training_colours(store: TokenStore, rows: np.ndarray, colours: np.ndarray) -> Iterator[np.ndarray]:
    """The colours of these rows in blocks (n, V, G*G*3), of all the views that the prior was trained on."""
    for start in range(0, len(rows), IMAGES_AT_ONCE):
        yield colours_of(np.asarray(store.image_tokens[rows[start : start + IMAGES_AT_ONCE]]), colours)
