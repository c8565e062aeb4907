"""What reranking by CLIP buys: the winner among more and more candidates (the paper's Figure 6)."""

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure

from dalle.report.picture_grid import PictureRow, picture_grid
from dalle.report.sheet import check_images
from dalle.report.style import styled


@styled
def best_of(captions: Sequence[str], images: np.ndarray, sweep: Sequence[int], scores: np.ndarray) -> Figure:
    """Rows of winners, the largest N on top.

    `images` uint8 (C, len(sweep), H, W, 3) and `scores` (C, len(sweep)), the winners' CLIP similarities, follow `sweep`.
    """
    expected = (len(captions), len(sweep))
    for name, values in (("images", images), ("scores", scores)):
        if np.shape(values)[:2] != expected:
            raise ValueError(f"{name}: expected shape {expected} (captions, sweep) in front, got {np.shape(values)[:2]}")
    rows = []
    for index in sorted(range(len(sweep)), key=lambda index: -sweep[index]):
        check_images(images[:, index], "images", len(captions))
        rows.append(
            PictureRow(
                name=f"best of {sweep[index]}" if sweep[index] > 1 else "first sample",
                remark="" if sweep[index] > 1 else "no reranking",
                images=images[:, index],
                below=[f"{score:.3f}" for score in scores[:, index]],
            )
        )
    return picture_grid(
        "Reranking: the best of N candidates by CLIP",
        "DALL-E samples; below each its CLIP similarity to the caption, by the same CLIP that chose it (↑ higher is better)",
        captions,
        rows,
    )
