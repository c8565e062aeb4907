"""Pictures in columns under their captions, one row a model: the plan of the paper's Figures 1, 3, 6 and 8."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.figure import Figure

from dalle.report.lettering import line_height, wrap
from dalle.report.sheet import HEADER, MARGIN, Sheet
from dalle.report.style import INK, LABEL, MUTED, NOTE, WIDTH

COLUMNS = 8
GUTTER = 90  # page pixels for the rows' names; eight pictures of 92 fill the rest
GAP = 6
CAPTION_LINES = 6
BAND_GAP = 22


@dataclass(frozen=True, kw_only=True)
class PictureRow:
    """One row: a name with a remark under it, an image a column, and perhaps a short text below each."""

    name: str
    remark: str
    images: np.ndarray  # uint8 (N, H, W, 3)
    below: Sequence[str] = ()


def picture_grid(title: str, subtitle: str, captions: Sequence[str], rows: Sequence[PictureRow]) -> Figure:
    """Draw the rows in bands of at most COLUMNS pictures; `captions` may be empty."""
    num_images = len(rows[0].images)
    if num_images == 0:
        raise ValueError(f"{title}: there is no image to show")
    num_bands = -(-num_images // COLUMNS)
    columns = max(4, -(-num_images // num_bands))
    side = (WIDTH - 2 * MARGIN - GUTTER - GAP * (columns - 1)) // columns
    bands = [slice(start, min(start + columns, num_images)) for start in range(0, num_images, columns)]
    wrapped = [wrap(caption, side - 2, NOTE, max_lines=CAPTION_LINES) for caption in captions]
    heads = [max((len(lines) for lines in wrapped[band]), default=0) * line_height(NOTE) for band in bands]
    row_height = side + GAP + (line_height(NOTE) + 2 if rows[0].below else 0)
    height = HEADER + sum(heads) + len(bands) * len(rows) * row_height + BAND_GAP * (len(bands) - 1) + MARGIN
    sheet = Sheet(height, title, subtitle)
    top = HEADER
    for band, head in zip(bands, heads, strict=True):
        _band(sheet, top, head, wrapped[band], rows, band, side, row_height)
        top += head + len(rows) * row_height + BAND_GAP
    return sheet.figure


def _band(
    sheet: Sheet,
    top: float,
    head: float,
    wrapped: Sequence[list[str]],
    rows: Sequence[PictureRow],
    band: slice,
    side: float,
    row_height: float,
) -> None:
    lefts = [MARGIN + GUTTER + index * (side + GAP) for index in range(band.stop - band.start)]
    for left, lines in zip(lefts, wrapped, strict=False):
        # captions stand on the pictures: the last lines are level
        sheet.lines(left, top + head - len(lines) * line_height(NOTE) + NOTE - 2, lines, size=NOTE)
    for number, row in enumerate(rows):
        y = top + head + number * row_height
        _row_name(sheet, row, y + side / 2)
        for left, index in zip(lefts, range(band.start, band.stop), strict=True):
            sheet.picture(row.images[index], left, y, side)
            if row.below:
                sheet.text(left + side / 2, y + side + NOTE + 2, row.below[index], size=NOTE, colour=MUTED, align="center")


def _row_name(sheet: Sheet, row: PictureRow, centre: float) -> None:
    width = GUTTER - 12
    names = wrap(row.name, width, LABEL, max_lines=3, weight="bold")
    remarks = wrap(row.remark, width, NOTE, max_lines=3) if row.remark else []
    height = len(names) * line_height(LABEL) + len(remarks) * line_height(NOTE)
    right = MARGIN + GUTTER - 12
    y = sheet.lines(right, centre - height / 2 + LABEL, names, size=LABEL, weight="bold", colour=INK, align="right")
    sheet.lines(right, y - 1, remarks, size=NOTE, colour=MUTED, align="right")
