"""What the golden trainings read: pictures, captions and image tokens that follow from a seed and from no renderer.

The miniature world would do as well, but a better bird must not change the curves.
"""

from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image

from dalle.data.manifest import manifest_from_rows
from dalle.data.sharded_tokens import ShardedTokens
from dalle.data.token_store import TokenStore
from dalle.randomness import numpy_generator

COLOURS = {"red": (220, 40, 40), "green": (40, 180, 60), "blue": (40, 60, 220), "yellow": (240, 220, 40)}
CAPTIONS = [f"a {upper} half above a {lower} one" for upper in COLOURS for lower in COLOURS if upper != lower]
NUM_PAIRS, NUM_VALID, SIDE = 96, 24, 40
CODEBOOK_SIZE, GRID_SIZE, VIEWS = 16, 4, 3


def split_of(index: int) -> str:
    return "valid" if index < NUM_VALID else "train"


def golden_pairs(folder: Path) -> pd.DataFrame:
    """A manifest of PNGs: a caption's two colours, with grain, parted by a slanted line that is its own."""
    rows = []
    for index in range(NUM_PAIRS):
        caption, path = CAPTIONS[index % len(CAPTIONS)], folder / f"{index}.png"
        Image.fromarray(_picture(caption, index)).save(path)
        place = {"file": str(path), "offset": 0, "num_bytes": path.stat().st_size, "width": SIDE, "height": SIDE, "crc32": 0}
        rows.append({"pair_id": str(index), "image_id": str(index), "caption": caption, "split": split_of(index), **place})
    return manifest_from_rows(rows)


def golden_store() -> TokenStore:
    """Image tokens of which the caption decides the halves; the views differ, as those of real crops do."""
    rows = []
    tokens = np.empty((NUM_PAIRS, VIEWS, GRID_SIZE, GRID_SIZE), np.uint16)
    for index in range(NUM_PAIRS):
        caption, rng = CAPTIONS[index % len(CAPTIONS)], numpy_generator("golden", "tokens", index)
        upper, lower = (list(COLOURS).index(name) for name in caption.split() if name in COLOURS)
        halves = np.repeat([[upper], [lower]], GRID_SIZE // 2, axis=0)
        tokens[index] = halves * len(COLOURS) + rng.integers(0, 3, tokens[index].shape)
        rows.append({"pair_id": str(index), "image_id": str(index), "caption": caption, "split": split_of(index)})
    image_tokens = ShardedTokens([tokens.reshape(NUM_PAIRS, VIEWS, -1)])
    return TokenStore(image_tokens, pd.DataFrame(rows), CODEBOOK_SIZE, GRID_SIZE, "none")


def _picture(caption: str, index: int) -> np.ndarray:
    rng = numpy_generator("golden", "picture", index)
    upper, lower = (np.array(COLOURS[name]) for name in caption.split() if name in COLOURS)
    slope, middle = rng.uniform(-0.5, 0.5), rng.uniform(0.3, 0.7) * SIDE
    rows, columns = np.arange(SIDE)[:, None, None], np.arange(SIDE)[None, :, None]
    pixels = np.where(rows < middle + slope * (columns - SIDE / 2), upper, lower)
    return (pixels + rng.integers(-12, 13, pixels.shape)).clip(0, 255).astype(np.uint8)
