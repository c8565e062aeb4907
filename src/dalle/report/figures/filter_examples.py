"""What the filters removed, whether they were right, and a few of the pairs themselves."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from dalle.report.frames import require_columns
from dalle.report.lettering import line_height, wrap
from dalle.report.sheet import HEADER, MARGIN, Sheet
from dalle.report.style import FAINT, GRID, LABEL, MUTED, NOTE, PALE, WIDTH, styled

Example = tuple[np.ndarray | None, str, str]

BAR = "#57606a"
ROW, THUMBNAIL, NUM_EXAMPLES = 84, 60, 3
BAR_LEFT, BAR_WIDTH = 160, 76
PRECISION, RECALL = 330, 392
EXAMPLES, EXAMPLE_WIDTH = 424, 154


@styled
def filter_examples(counts: pd.DataFrame, examples: Mapping[str, Sequence[Example]], num_pairs: int) -> Figure:
    """A row a rule, as they are applied: pairs it drops of `num_pairs` and leaves to the next, how right it is, and examples.

    `counts` has `rule, words, dropped, left, precision, recall` (the last two against planted truth, empty where none is
    known); `examples` has for each rule up to three (image uint8 (H, W, 3), None where it cannot be decoded, caption, detail).
    """
    require_columns(counts, ("rule", "words", "dropped", "left", "precision", "recall"), "filter counts")
    total = int(counts["dropped"].sum())
    left = f"{num_pairs - total:,} of {num_pairs:,} training pairs left ({1 - total / num_pairs:.1%})"
    subtitle = f"{left}; {total:,} are dropped, each by the first rule it breaks"
    sheet = Sheet(HEADER + 26 + ROW * len(counts) + MARGIN - 8, "Filtering the training pairs", subtitle)
    head = HEADER + 12
    for x, text, align in (
        (BAR_LEFT, "dropped, and left", "left"),
        (PRECISION, "precision", "right"),
        (RECALL, "recall", "right"),
        (EXAMPLES, "examples", "left"),
    ):
        sheet.text(x, head, text, size=NOTE, colour=MUTED, align=align)
    for number, row in enumerate(counts.itertuples(index=False)):
        top = HEADER + 26 + number * ROW
        sheet.rule(MARGIN, top - 5, WIDTH - 2 * MARGIN, GRID)
        _rule(sheet, top, row, int(counts["dropped"].max()))
        for index, example in enumerate(list(examples.get(row.rule, ()))[:NUM_EXAMPLES]):
            _example(sheet, EXAMPLES + index * (EXAMPLE_WIDTH + 2), top + 4, example)
    return sheet.figure


def _rule(sheet: Sheet, top: float, row, most: int) -> None:
    middle = top + ROW / 2 - 9
    sheet.text(MARGIN, middle, row.rule.replace("_", " "), weight="bold")
    sheet.text(MARGIN, middle + line_height(LABEL) - 1, row.words, size=NOTE, colour=MUTED)
    width = BAR_WIDTH * row.dropped / max(1, most)
    sheet.box(BAR_LEFT, middle - 11, max(width, 1), 14, BAR)
    sheet.text(BAR_LEFT + max(width, 1) + 6, middle, f"{row.dropped:,}")
    sheet.text(BAR_LEFT, middle + line_height(LABEL) - 1, f"{row.left:,} left", size=NOTE, colour=MUTED)
    for x, value in ((PRECISION, row.precision), (RECALL, row.recall)):
        sheet.text(x, middle + 7, f"{value:.1%}" if pd.notna(value) else "–", align="right")


def _example(sheet: Sheet, x: float, y: float, example: Example) -> None:
    image, caption, detail = example
    if image is None:
        sheet.box(x, y, THUMBNAIL, THUMBNAIL, PALE)
        sheet.frame(x, y, THUMBNAIL, THUMBNAIL)
        sheet.text(x + THUMBNAIL / 2, y + THUMBNAIL / 2 + 6, "×", size=20, colour=FAINT, align="center")
    else:
        height, width = image.shape[:2]
        scale = THUMBNAIL / max(height, width)
        width, height = max(8, round(width * scale)), max(8, round(height * scale))
        sheet.picture(image, x + (THUMBNAIL - width) // 2, y + (THUMBNAIL - height) // 2, width, height)
    left, room = x + THUMBNAIL + 7, EXAMPLE_WIDTH - THUMBNAIL - 14
    lines = wrap(caption, room, NOTE, max_lines=3)
    below = sheet.lines(left, y + NOTE, lines, size=NOTE)
    if detail:
        details = wrap(detail, room, NOTE - 1, max_lines=1 if len(lines) > 2 else 2)
        sheet.lines(left, below, details, size=NOTE - 1, colour=FAINT)
