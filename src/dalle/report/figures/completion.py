"""Image-to-image: the tops of pictures, and what the model draws below them under a caption (the paper's Figure 14)."""

from collections.abc import Mapping, Sequence

import matplotlib.colors
import numpy as np
from matplotlib.figure import Figure
from PIL import Image

from dalle.report.picture_grid import PictureRow, picture_grid
from dalle.report.sheet import check_images
from dalle.report.style import PALE, styled

GIVEN = "Given"
FINE = 8  # pixels for each of a picture's


@styled
def completion(
    captions: Sequence[str],
    pictures: np.ndarray,
    kept: float,
    rows: Mapping[str, np.ndarray],
    as_asked: Mapping[str, Sequence[bool]],
    *,
    subtitle: str,
) -> Figure:
    """The upper `kept` (0 to 1) of `pictures`, uint8 (C, H, W, 3), over the rows in the order given: name -> as `pictures`.

    A name "DALL-E, best of 8" is set as a name with a remark below it; `as_asked` has the reader's judgements of some rows.
    """
    check_images(pictures, "pictures", len(captions))
    for name, images in rows.items():
        check_images(images, f"rows[{name!r}]", len(captions))
    given = PictureRow(name=GIVEN, remark="the rest is hidden", images=_hidden(pictures, kept))
    return picture_grid(
        "Image-to-image: the top is given, the rest drawn under the caption",
        subtitle,
        captions,
        [given, *(_row(name, images, as_asked.get(name, ())) for name, images in rows.items())],
    )


def _row(name: str, images: np.ndarray, told: Sequence[bool]) -> PictureRow:
    title, _, remark = name.partition(", ")
    return PictureRow(name=title, remark=remark, images=images, below=["as asked" if right else "not" for right in told])


def _hidden(pictures: np.ndarray, kept: float) -> np.ndarray:
    """Enlarged before they are covered: enlarging smooths, and an edge among few pixels would ring."""
    height, width = (FINE * side for side in pictures.shape[1:3])
    enlarged = [Image.fromarray(picture).resize((width, height), Image.Resampling.LANCZOS) for picture in pictures]
    hidden = np.stack([np.array(picture) for picture in enlarged])
    hidden[:, round(kept * height) :] = np.round(255 * np.array(matplotlib.colors.to_rgb(PALE)))
    return hidden
