"""Pairs to be judged with a pencil: two pictures, a caption, boxes to tick, and nothing that names a model."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from dalle.report.lettering import line_height, wrap
from dalle.report.paper import EDGE, PAPER_HEIGHT, PAPER_WIDTH, paper_page, printed_picture
from dalle.report.sheet import Sheet
from dalle.report.style import GRID, INK, LABEL, MUTED, NOTE, SUBTITLE, points, styled

PAIRS_A_PAGE = 5
SIDE = 148
GAP = 12
TOP = EDGE + 84
HEIGHT = (PAPER_HEIGHT - EDGE - 20 - TOP) / PAIRS_A_PAGE
BOX = 14
QUESTIONS = (
    ("Which image is more realistic?", ("1", "2")),
    ("Which image matches the caption better?", ("1", "2", "neither")),
)


@dataclass(frozen=True, kw_only=True)
class PaperPair:
    """Two uint8 (H, W, 3) images and what both were asked for."""

    caption: str
    left: np.ndarray
    right: np.ndarray


@styled
def voting_sheets(sheet_id: str, pairs: Sequence[PaperPair]) -> Iterator[Figure]:
    """Pages of A4 with the pairs of one sheet, numbered by their positions."""
    num_pages = -(-len(pairs) // PAIRS_A_PAGE)
    for number in range(num_pages):
        yield _page(sheet_id, pairs, number * PAIRS_A_PAGE, f"sheet {sheet_id} · {number + 1} / {num_pages}")


@styled
def _page(sheet_id: str, pairs: Sequence[PaperPair], start: int, foot: str) -> Figure:
    page = paper_page(f"Pairs of images, sheet {sheet_id}", "tick one box a question, without looking back", foot)
    page.text(PAPER_WIDTH - EDGE, EDGE, "Name or number  ______________________", size=LABEL, colour=MUTED, align="right")
    for row, pair in enumerate(pairs[start : start + PAIRS_A_PAGE]):
        _pair(page, pair, start + row + 1, TOP + row * HEIGHT)
    return page.figure


def _pair(page: Sheet, pair: PaperPair, number: int, top: float) -> None:
    page.rule(EDGE, top - 14, PAPER_WIDTH - 2 * EDGE, GRID)
    page.text(EDGE, top + SUBTITLE, str(number), size=SUBTITLE, weight="bold")
    left = EDGE + 36
    for place, image in enumerate((pair.left, pair.right)):
        x = left + place * (SIDE + GAP)
        printed_picture(page, image, x, top, SIDE)
        page.text(x + SIDE / 2, top + SIDE + NOTE + 4, f"image {place + 1}", size=NOTE, colour=MUTED, align="center")
    x = left + 2 * (SIDE + GAP) + 12
    width = PAPER_WIDTH - EDGE - x
    caption = wrap(pair.caption, width, SUBTITLE, max_lines=4, weight="bold")
    y = page.lines(x, top + SUBTITLE, caption, size=SUBTITLE, weight="bold") + 10
    for question, answers in QUESTIONS:
        page.text(x, y, question, size=LABEL)
        _boxes(page, x, y + 12, answers)
        y += 2 * line_height(LABEL) + 24


def _boxes(page: Sheet, x: float, y: float, answers: Sequence[str]) -> None:
    for answer in answers:
        page.canvas.add_patch(Rectangle((x, y), BOX, BOX, fill=False, edgecolor=INK, linewidth=points(1)))
        page.text(x + BOX + 6, y + BOX - 3, answer, size=LABEL)
        x += 62
