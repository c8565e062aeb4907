"""The same captions drawn by every model, beside the real images (the paper's Figures 3 and 8)."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure

from dalle.report.picture_grid import PictureRow, picture_grid
from dalle.report.sheet import check_images
from dalle.report.style import styled


@styled
def samples(captions: Sequence[str], rows: Mapping[str, np.ndarray], *, dataset: str) -> Figure:
    """One row a model in the order given: name -> uint8 (len(captions), H, W, 3).

    A name "DALL-E, best of 16" is set as a name with a remark below it. `dataset` says where the captions come from.
    """
    if not rows:
        raise ValueError("rows: at least one row of images is needed")
    for name, images in rows.items():
        check_images(images, f"rows[{name!r}]", len(captions))
    split = {name: name.partition(", ") for name in rows}
    return picture_grid(
        f"Samples for captions of {dataset}",
        "each column one caption, each row one model · the first captions of a seeded random order, nothing picked",
        captions,
        [PictureRow(name=split[name][0], remark=split[name][2], images=images) for name, images in rows.items()],
    )
