"""A baseline's pictures on disk, one a caption, in the form in which all models' samples are evaluated."""

from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image


def write_samples(folder: Path, captions: pd.DataFrame, images: np.ndarray) -> None:
    """`samples.csv` and a PNG of each of the images uint8 (C, H, W, 3); `captions` has `caption_id, image_id, caption`."""
    (folder / "images").mkdir(parents=True)
    samples = captions.assign(candidate=0, file=[f"images/{number:06d}.png" for number in range(len(captions))])
    for file, image in zip(samples["file"], images, strict=True):
        Image.fromarray(image).save(folder / file)
    samples.to_csv(folder / "samples.csv", index=False)
