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
    row_heights = [side + GAP + (line_height(NOTE) + 2 if row.below else 0) for row in rows]
    height = HEADER + sum(heads) + len(bands) * sum(row_heights) + BAND_GAP * (len(bands) - 1) + MARGIN
    sheet = Sheet(height, title, subtitle)
    top = HEADER
    for band, head in zip(bands, heads, strict=True):
        _captions(sheet, top + head, wrapped[band], side)
        y = top + head
        for row, row_height in zip(rows, row_heights, strict=True):
            _row(sheet, row, y, band, side)
            y += row_height
        top = y + BAND_GAP
    return sheet.figure


def _left(column: int, side: float) -> float:
    return MARGIN + GUTTER + column * (side + GAP)


def _captions(sheet: Sheet, bottom: float, wrapped: Sequence[list[str]], side: float) -> None:
    """Captions stand on the pictures: their last lines are level."""
    for column, lines in enumerate(wrapped):
        sheet.lines(_left(column, side), bottom - len(lines) * line_height(NOTE) + NOTE - 2, lines, size=NOTE)


def _row(sheet: Sheet, row: PictureRow, y: float, band: slice, side: float) -> None:
    _row_name(sheet, row, y + side / 2)
    for column, index in enumerate(range(band.start, band.stop)):
        left = _left(column, side)
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
