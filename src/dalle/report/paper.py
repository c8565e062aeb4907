"""Pages of A4 in one PDF, drawn as every figure is, whose bytes depend on the drawings alone."""

import os
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from matplotlib.backends.backend_pdf import PdfPages
from matplotlib.figure import Figure
from PIL import Image

from dalle.report.sheet import MARGIN, Sheet, check_image
from dalle.report.style import FAINT, NOTE, PIXELS_PER_INCH, styled

MILLIMETRES_PER_INCH = 25.4
PAPER_WIDTH = 210 / MILLIMETRES_PER_INCH * PIXELS_PER_INCH  # of A4, in page pixels
PAPER_HEIGHT = round(297 / MILLIMETRES_PER_INCH * PIXELS_PER_INCH)
EDGE = 48  # page pixels: half an inch that printers leave free
MOST_PIXELS = 192  # a side of a picture in print: more would only make the file larger
NO_METADATA = {"CreationDate": None, "Creator": None, "Producer": None}  # dates and versions


def paper_page(title: str, subtitle: str, foot: str) -> Sheet:
    """An empty page with a line at its foot."""
    page = Sheet(PAPER_HEIGHT, title, subtitle, width=PAPER_WIDTH, corner=(EDGE, EDGE - MARGIN))
    page.text(PAPER_WIDTH - EDGE, PAPER_HEIGHT - EDGE + NOTE, foot, size=NOTE, colour=FAINT, align="right")
    return page


def printed_picture(page: Sheet, image: np.ndarray, x: float, y: float, side: float) -> None:
    """A uint8 (H, W, 3) image with its own pixels: what is small stays sharp-edged, as on the screen."""
    check_image(image)
    if len(image) > MOST_PIXELS:
        image = np.asarray(Image.fromarray(image).resize((MOST_PIXELS, MOST_PIXELS), Image.Resampling.LANCZOS))
    page.block(image, x, y, side, side, interpolation="none")
    page.frame(x, y, side, side)


@styled
def save_paper(pages: Iterable[Figure], path: Path) -> None:
    """Write the pages, replacing `path` atomically."""
    temporary = path.with_name(path.name + ".tmp")
    with PdfPages(temporary, metadata=NO_METADATA) as pdf:
        for page in pages:
            pdf.savefig(page)
    os.replace(temporary, path)
