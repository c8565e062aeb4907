"""Sheets on paper: A4, every caption once and in order, the same bytes twice, no date and no program in them."""

import re
import zlib

import numpy as np
import pytest
from matplotlib.text import Text

from dalle.report.figures.sample_sheets import COLUMNS, sample_sheets
from dalle.report.figures.voting_sheets import PAIRS_A_PAGE, PaperPair, voting_sheets
from dalle.report.paper import MOST_PIXELS, save_paper


@pytest.fixture
def many():
    """Thirty captions, two rows of pictures."""
    images = np.random.default_rng(0).integers(0, 256, (2, 30, 8, 8, 3), dtype=np.uint8)
    return [f"caption {number} $of$ many" for number in range(30)], {"Validation": images[0], "DALL-E, best of 8": images[1]}


def texts(figure) -> list[str]:
    return [artist.get_text() for artist in figure.findobj(Text) if artist.get_text()]


def test_every_caption_stands_on_a_page_once_and_in_order(many):
    captions, rows = many
    pages = list(sample_sheets(captions, rows, dataset="the miniature MS-COCO"))
    written = " ".join(text for page in pages for text in texts(page))
    assert [int(number) for number in re.findall(r"caption (\d+)", written)] == list(range(30))
    num_bands = -(-30 // COLUMNS)
    assert written.count("Validation") == written.count("best of 8") == num_bands
    for number, page in enumerate(pages, start=1):
        assert texts(page)[0] == "Samples for captions of the miniature MS-COCO" and f"{number} / {len(pages)}" in texts(page)
        pictures = page.axes[0].images
        assert all(0 < picture.get_extent()[0] and picture.get_extent()[2] < 1169 for picture in pictures)
    assert sum(len(page.axes[0].images) for page in pages) == 60


def test_voting_sheets_name_no_model(many):
    captions, rows = many
    left, right = rows.values()
    pairs = [PaperPair(caption=caption, left=a, right=b) for caption, a, b in zip(captions, left, right, strict=True)]
    pages = list(voting_sheets("s01r1", pairs))
    assert len(pages) == -(-30 // PAIRS_A_PAGE)
    written = [text for page in pages for text in texts(page)]
    assert [text for text in written if text.isdigit() and text not in ("1", "2")] == [str(number) for number in range(3, 31)]
    assert written.count("Which image is more realistic?") == written.count("neither") == 30
    assert not re.search("dalle|dall-e|gan|real images|Validation", " ".join(written), re.IGNORECASE)


def test_a_pdf_of_a4_without_dates_that_is_the_same_twice(many, tmp_path):
    for name in ("first.pdf", "second.pdf"):
        save_paper(sample_sheets(*many, dataset="birds"), tmp_path / name)
    content = (tmp_path / "first.pdf").read_bytes()
    assert content == (tmp_path / "second.pdf").read_bytes() and not list(tmp_path.glob("*.tmp"))
    assert not re.search(rb"Date|Producer|Creator|[Mm]atplotlib", content)
    boxes = re.findall(rb"/MediaBox \[ 0 0 ([\d.]+) ([\d.]+) \]", content)
    width, height = (float(length) * 25.4 / 72 for length in boxes[0])
    assert abs(width - 210) < 0.2 and abs(height - 297) < 0.2
    assert len(set(boxes)) == 1


def test_small_pictures_keep_their_pixels_and_large_ones_are_bounded(tmp_path):
    """Found in the file: the very bytes of a small picture, and never more than MOST_PIXELS a side."""
    small = np.random.default_rng(1).integers(0, 256, (1, 20, 20, 3), dtype=np.uint8)
    large = np.random.default_rng(2).integers(0, 256, (1, 2 * MOST_PIXELS, 2 * MOST_PIXELS, 3), dtype=np.uint8)
    save_paper(sample_sheets(["a"], {"small": small, "large": large}, dataset="birds"), tmp_path / "a.pdf")
    content = (tmp_path / "a.pdf").read_bytes()
    sizes = [int(size) for size in re.findall(rb"/Width (\d+)", content)]
    assert sorted(sizes) == [20, MOST_PIXELS]
    upwards = small[0, ::-1]  # as PDF counts rows
    assert upwards.tobytes() in [_unfiltered(stream, 20) for stream in _streams(content)]


def _streams(content: bytes):
    for match in re.finditer(rb"stream\r?\n", content):
        try:
            yield zlib.decompressobj().decompress(content[match.end() :])
        except zlib.error:
            continue


def _unfiltered(data: bytes, side: int) -> bytes:
    """Rows of a PNG-predicted stream of RGB, where each row's filter is one of the five of the PNG standard."""
    row_bytes = 3 * side
    if len(data) != side * (row_bytes + 1):
        return data
    above, rows = np.zeros(row_bytes, int), []
    for start in range(0, len(data), row_bytes + 1):
        kind, row = data[start], np.frombuffer(data[start + 1 : start + 1 + row_bytes], np.uint8).astype(int)
        for place in range(row_bytes):
            left = row[place - 3] if place >= 3 else 0
            corner = above[place - 3] if place >= 3 else 0
            up = above[place]
            guess = left + up - corner
            paeth = min((left, up, corner), key=lambda value: abs(guess - value))
            row[place] = (row[place] + (0, left, up, (left + up) // 2, paeth)[kind]) % 256
        above = row
        rows.append(row.astype(np.uint8).tobytes())
    return b"".join(rows)
