"""Training and validation pairs, told apart by their image alone."""

from collections.abc import Iterable

import numpy as np

from dalle.randomness import derive_seed


def assign_split(image_ids: Iterable[str], valid_fraction: float, seed: int) -> np.ndarray:
    """'valid' for about `valid_fraction` of the images, else 'train'.

    The answer for an image depends on its id and the seed only, so it stays what it was when other pairs come or go.
    """
    if not 0 <= valid_fraction < 1:
        raise ValueError(f"valid_fraction must be at least 0 and below 1, got {valid_fraction}")
    bound = valid_fraction * 2**63
    chosen = [derive_seed(seed, "split", image_id) < bound for image_id in image_ids]
    return np.where(np.array(chosen, dtype=bool), "valid", "train").astype(object)
