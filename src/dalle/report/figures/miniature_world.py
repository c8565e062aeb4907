"""A contact sheet of the pairs that everything is trained on."""

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure

from dalle.report.lettering import line_height, wrap
from dalle.report.sheet import HEADER, MARGIN, Sheet, check_images
from dalle.report.style import MUTED, NOTE, WIDTH, styled

COLUMNS = 8
GAP = 12
CAPTION_LINES = 4


@styled
def miniature_world(images: np.ndarray, captions: Sequence[str], title: str, subtitle: str) -> Figure:
    """Square images uint8 (N, H, W, 3) in rows of eight, each over its caption."""
    check_images(images, "images", len(captions))
    if not captions:
        raise ValueError("images: there is nothing to show")
    side = (WIDTH - 2 * MARGIN - GAP * (COLUMNS - 1)) // COLUMNS
    wrapped = [wrap(caption, side, NOTE, max_lines=CAPTION_LINES) for caption in captions]
    rows = [slice(start, start + COLUMNS) for start in range(0, len(captions), COLUMNS)]
    heights = [side + max(map(len, wrapped[row])) * line_height(NOTE) + 18 for row in rows]
    sheet = Sheet(HEADER + sum(heights) + MARGIN - 12, title, subtitle)
    top = HEADER
    for row, height in zip(rows, heights, strict=True):
        for column, (image, lines) in enumerate(zip(images[row], wrapped[row], strict=True)):
            x = MARGIN + column * (side + GAP)
            sheet.picture(image, x, top, side)
            sheet.lines(x, top + side + NOTE + 4, lines, size=NOTE, colour=MUTED)
        top += height
    return sheet.figure
