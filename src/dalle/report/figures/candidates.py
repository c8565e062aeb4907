"""Candidates of a few captions in the order that CLIP gives them, pixel by pixel (the paper's Figures 2 and 3)."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.figure import Figure

from dalle.report.lettering import line_height, shorten, wrap
from dalle.report.sheet import HEADER, MARGIN, Sheet, check_image, check_images
from dalle.report.style import DEVICE_SCALE, LABEL, MUTED, NOTE, SUBTITLE, WIDTH, styled

LEAST_COLUMNS, COLUMNS = 4, 8
GAP = 6
CAPTION_LINES = 3
BELOW = line_height(NOTE) + 6  # a line of text under every picture
BETWEEN = 18  # one caption's pictures and the next caption
PAPER_GREY, SHARE_LEFT = 235, 0.25


@dataclass(frozen=True, kw_only=True)
class CandidateRow:
    """A caption, its pictures uint8 (K, H, W, 3) with a short text below each, and what they complete, a picture (H, W, 3)."""

    caption: str
    images: np.ndarray
    below: Sequence[str]
    given: np.ndarray | None = None


@styled
def candidates(title: str, subtitle: str, rows: Sequence[CandidateRow]) -> Figure:
    """A band of pictures a caption; those smaller than their place are enlarged a whole number of times, without smoothing."""
    for row in rows:
        check_images(row.images, "images", len(row.below))
        if len(row.images) == 0:
            raise ValueError(f"images: there is none for the caption '{row.caption}'")
    first = 0 if rows[0].given is None else 1  # column of the first candidate; the given picture stands before it
    columns = _columns(len(rows[0].images), COLUMNS - first)
    side = _side(rows[0].images.shape[2], first + max(LEAST_COLUMNS - first, columns))
    width = WIDTH - 2 * MARGIN
    wrapped = [wrap(row.caption, width, LABEL, max_lines=CAPTION_LINES) for row in rows]
    heads = [len(lines) * line_height(LABEL) for lines in wrapped]
    bands = [-(-len(row.images) // columns) * (side + BELOW) for row in rows]
    height = HEADER + sum(heads) + sum(bands) + BETWEEN * (len(rows) - 1) + MARGIN
    sheet = Sheet(height, title, shorten(subtitle, width, SUBTITLE))
    top = HEADER
    for row, lines, head, band in zip(rows, wrapped, heads, bands, strict=True):
        sheet.lines(MARGIN, top + LABEL - 2, lines)
        if row.given is not None:
            check_image(row.given)
            _picture(sheet, row.given, "given", MARGIN, top + head, side)
        for index, (image, below) in enumerate(zip(row.images, row.below, strict=True)):
            line, column = divmod(index, columns)
            _picture(sheet, image, below, MARGIN + (first + column) * (side + GAP), top + head + line * (side + BELOW), side)
        top += head + band + BETWEEN
    return sheet.figure


def greyed_below(image: np.ndarray, row: int) -> np.ndarray:
    """The picture uint8 (H, W, 3) with the pixels from `row` on as a pale grey shadow of themselves: what is not given."""
    shadow = image.copy()
    grey = image[row:].mean(axis=-1, keepdims=True)
    shadow[row:] = (SHARE_LEFT * grey + (1 - SHARE_LEFT) * PAPER_GREY).round().astype(np.uint8)
    return shadow


def _columns(num_images: int, most: int) -> int:
    """As many lines as `most` columns need, all but the last equally long."""
    return -(-num_images // -(-num_images // most))


def _side(size: int, columns: int) -> float:
    """Page pixels a side for pictures of `size` pixels."""
    place = int((WIDTH - 2 * MARGIN - GAP * (columns - 1)) / columns * DEVICE_SCALE)
    return (place // size * size if size <= place else place) / DEVICE_SCALE


def _picture(sheet: Sheet, image: np.ndarray, below: str, x: float, y: float, side: float) -> None:
    times = max(1, round(side * DEVICE_SCALE) // image.shape[1])
    sheet.picture(image.repeat(times, axis=0).repeat(times, axis=1), x, y, side)
    sheet.text(x + side / 2, y + side + NOTE + 2, below, size=NOTE, colour=MUTED, align="center")
