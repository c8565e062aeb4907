"""What the dVAE keeps and loses (the paper's Figure 1)."""

import numpy as np
from matplotlib.figure import Figure

from dalle.report.picture_grid import PictureRow, picture_grid
from dalle.report.sheet import check_images
from dalle.report.style import styled


@styled
def reconstructions(originals: np.ndarray, reconstructions: np.ndarray, psnr_db: np.ndarray) -> Figure:
    """Originals above their reconstructions; images uint8 (N, H, W, 3), `psnr_db` (N,) in dB for each pair."""
    check_images(originals, "originals", len(originals))
    check_images(reconstructions, "reconstructions", len(originals))
    if np.shape(psnr_db) != (len(originals),):
        raise ValueError(f"psnr_db: expected one value a pair, shape ({len(originals)},), got {np.shape(psnr_db)}")
    pixels = f"{originals.shape[1]} × {originals.shape[2]} pixels"
    return picture_grid(
        "Images and their dVAE reconstructions",
        f"{pixels} through the most likely code of every grid cell · PSNR of each pair below (↑ higher is better)",
        [],
        [
            PictureRow(name="Original", remark="", images=originals),
            PictureRow(name="dVAE", remark="reconstruction", images=reconstructions, below=[f"{x:.1f} dB" for x in psnr_db]),
        ],
    )
