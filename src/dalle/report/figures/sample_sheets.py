"""Fig. 3 for every caption, on paper: pictures in columns under their captions, one row a source."""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure

from dalle.report.lettering import line_height, wrap
from dalle.report.paper import EDGE, PAPER_HEIGHT, PAPER_WIDTH, paper_page, printed_picture
from dalle.report.sheet import HEADER, Sheet, check_images
from dalle.report.style import INK, LABEL, MUTED, NOTE, styled

COLUMNS = 8
GUTTER = 84  # for the rows' names
GAP = 6
BAND_GAP = 20
CAPTION_LINES = 6
SIDE = (PAPER_WIDTH - 2 * EDGE - GUTTER - GAP * (COLUMNS - 1)) / COLUMNS
TOP = EDGE + HEADER - 16
BOTTOM = PAPER_HEIGHT - EDGE - 20

Band = tuple[range, list[list[str]], float]  # captions, their lines, how high the band is


def sample_sheets(captions: Sequence[str], rows: Mapping[str, np.ndarray], *, dataset: str) -> Iterator[Figure]:
    """Pages of A4, as `figures.samples`: name -> uint8 (len(captions), H, W, 3), a row a name, all captions in order."""
    if not rows:
        raise ValueError("rows: at least one row of images is needed")
    for name, images in rows.items():
        check_images(images, f"rows[{name!r}]", len(captions))
    pages = list(_pages(list(_bands(captions, len(rows)))))
    for number, bands in enumerate(pages, start=1):
        yield _page(bands, rows, dataset, f"{number} / {len(pages)}")


@styled
def _page(bands: Sequence[Band], rows: Mapping[str, np.ndarray], dataset: str, foot: str) -> Figure:
    over = "all captions in order, images not picked by hand"
    page = paper_page(f"Samples for captions of {dataset}", f"each column one caption, each row one source · {over}", foot)
    top = TOP
    for indices, wrapped, height in bands:
        _band(page, indices, wrapped, rows, top)
        top += height + BAND_GAP
    return page.figure


def _bands(captions: Sequence[str], num_rows: int) -> Iterator[Band]:
    for start in range(0, len(captions), COLUMNS):
        indices = range(start, min(start + COLUMNS, len(captions)))
        wrapped = [wrap(captions[index], SIDE - 2, NOTE, max_lines=CAPTION_LINES) for index in indices]
        yield indices, wrapped, max(map(len, wrapped)) * line_height(NOTE) + num_rows * (SIDE + GAP)


def _pages(bands: Sequence[Band]) -> Iterator[list[Band]]:
    """As many bands a page as fit, one at least."""
    page, top = [], TOP
    for band in bands:
        if page and top + band[2] > BOTTOM:
            yield page
            page, top = [], TOP
        page.append(band)
        top += band[2] + BAND_GAP
    yield page


def _band(page: Sheet, indices: range, wrapped: list[list[str]], rows: Mapping[str, np.ndarray], top: float) -> None:
    """Captions stand on the pictures: their last lines are level."""
    y = top + max(map(len, wrapped)) * line_height(NOTE)
    for column, lines in enumerate(wrapped):
        page.lines(_left(column), y - len(lines) * line_height(NOTE) + NOTE - 2, lines, size=NOTE)
    for name, images in rows.items():
        _row_name(page, name, y + SIDE / 2)
        for column, index in enumerate(indices):
            printed_picture(page, images[index], _left(column), y, SIDE)
        y += SIDE + GAP


def _left(column: int) -> float:
    return EDGE + GUTTER + column * (SIDE + GAP)


def _row_name(page: Sheet, name: str, centre: float) -> None:
    """ "DALL-E, best of 16" is set as a name with a remark below it."""
    head, _, remark = name.partition(", ")
    names = wrap(head, GUTTER - 10, LABEL, max_lines=3, weight="bold")
    remarks = wrap(remark, GUTTER - 10, NOTE, max_lines=2) if remark else []
    height = len(names) * line_height(LABEL) + len(remarks) * line_height(NOTE)
    right = EDGE + GUTTER - 10
    y = page.lines(right, centre - height / 2 + LABEL, names, size=LABEL, weight="bold", colour=INK, align="right")
    page.lines(right, y - 1, remarks, size=NOTE, colour=MUTED, align="right")
