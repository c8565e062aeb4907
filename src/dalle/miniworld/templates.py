"""Which shape a mask shows: its overlap with templates of every shape, turn and blur, brought to one size and place."""

from functools import lru_cache

import numpy as np
from PIL import Image, ImageFilter

from dalle.miniworld.shapes import coverage
from dalle.miniworld.variety import RICH
from dalle.miniworld.vocabulary import SHAPES

FRAME = 44  # side of the common frame, in which every mask has an area of UNIT squared and its centroid in the middle
UNIT = 20
DRAWN = 96  # extent at which templates are drawn
TURNS = (-RICH.max_degrees - 1, -RICH.max_degrees / 2, 0.0, RICH.max_degrees / 2, RICH.max_degrees + 1)
BLURS = (0.012, 0.04, 0.07, 0.10)  # standard deviations as fractions of the extent: from sharp to a small object under blur


def sharpen(mask: np.ndarray) -> np.ndarray:
    """Coverage with its uneven inside flattened; the half-covered edge stays where it is."""
    return np.clip((mask - 0.3) / 0.4, 0, 1)


def match_shape(mask: np.ndarray) -> tuple[str, float, float]:
    """(shape, intersection over union, extent in pixels) of the best template for a sharpened mask (H, W)."""
    names, templates, areas = _templates()
    framed = _frame(mask)
    overlap = np.minimum(templates, framed).sum(1) / np.maximum(templates, framed).sum(1)
    best = int(overlap.argmax())
    return names[best], float(overlap[best]), float(np.sqrt(mask.sum() / areas[best]))


@lru_cache(maxsize=1)
def _templates() -> tuple[list[str], np.ndarray, np.ndarray]:
    """Names (M,), framed masks (M, FRAME^2) and areas as fractions of the squared extent (M,)."""
    names, masks, areas = [], [], []
    side = 2 * DRAWN
    for shape in SHAPES:
        for degrees in TURNS if shape not in ("circle", "ring") else (0.0,):
            drawn = coverage(shape, (side / 2, side / 2), DRAWN, degrees, (side, side))
            for blur in BLURS:
                soft = np.asarray(drawn.filter(ImageFilter.GaussianBlur(blur * DRAWN)), np.float32)
                mask = sharpen(soft / np.quantile(soft[soft > 0.5 * soft.max()], 0.7))
                names.append(shape)
                masks.append(_frame(mask))
                areas.append(mask.sum() / DRAWN**2)
    return names, np.stack(masks), np.array(areas)


def _frame(mask: np.ndarray) -> np.ndarray:
    """The mask moved and scaled into the common frame: float32 (FRAME^2,)."""
    area = mask.sum()
    y, x = (np.arange(side) + 0.5 for side in mask.shape)
    centre = (float((mask.sum(0) * x).sum() / area), float((mask.sum(1) * y).sum() / area))
    scale = float(np.sqrt(area)) / UNIT
    offset = (centre[0] - scale * FRAME / 2, centre[1] - scale * FRAME / 2)
    image = Image.fromarray(mask.astype(np.float32))
    matrix = (scale, 0, offset[0], 0, scale, offset[1])
    return np.asarray(image.transform((FRAME, FRAME), Image.Transform.AFFINE, matrix, Image.Resampling.BILINEAR)).ravel()
