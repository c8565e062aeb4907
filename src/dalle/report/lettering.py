"""Text that fits: measured, broken into lines, and free of characters that the font cannot draw."""

from functools import lru_cache

from matplotlib import font_manager
from matplotlib.font_manager import FontProperties
from matplotlib.textpath import text_to_path

FAMILY = "DejaVu Sans"
MISSING = "□"


@lru_cache(maxsize=1)
def _glyphs() -> frozenset[int]:
    return frozenset(font_manager.get_font(font_manager.findfont(FAMILY)).get_charmap())


def drawable(text: str) -> str:
    """`text` on one line, with a box for every character that DejaVu Sans lacks (Chinese, emoji)."""
    return "".join(letter if ord(letter) in _glyphs() else MISSING for letter in " ".join(str(text).split()))


def line_height(size: float) -> float:
    """From baseline to baseline, in page pixels."""
    return round(size * 1.35)


@lru_cache(maxsize=8192)
def text_width(text: str, size: float, weight: str = "normal") -> float:
    """Width in page pixels at a type size in page pixels."""
    if not text:
        return 0.0
    font = FontProperties(family=FAMILY, size=size, weight=weight)
    return text_to_path.get_text_width_height_descent(text, font, False)[0]


def wrap(text: str, width: float, size: float, *, max_lines: int, weight: str = "normal") -> list[str]:
    """Break `text` into at most `max_lines` lines of `width` page pixels; what does not fit ends in an ellipsis."""
    lines = [""]
    for word in _breakable(drawable(text).split(" "), width, size, weight):
        longer = f"{lines[-1]} {word}".strip()
        if text_width(longer, size, weight) <= width or not lines[-1]:
            lines[-1] = longer
        else:
            lines.append(word)
    if len(lines) > max_lines:
        lines = [*lines[: max_lines - 1], shorten(" ".join(lines[max_lines - 1 :]), width, size, weight=weight)]
    return lines


def shorten(text: str, width: float, size: float, *, weight: str = "normal") -> str:
    """`text`, cut where it must be so that it and an ellipsis fit into `width` page pixels."""
    if text_width(text, size, weight) <= width:
        return text
    while text and text_width(text.rstrip() + "…", size, weight) > width:
        text = text[:-1]
    return text.rstrip() + "…"


def _breakable(words: list[str], width: float, size: float, weight: str) -> list[str]:
    """The words, those wider than a line (web addresses) cut into pieces."""
    pieces = []
    for word in words:
        while len(word) > 1 and text_width(word, size, weight) > width:
            length = max((n for n in range(1, len(word)) if text_width(word[:n], size, weight) <= width), default=1)
            pieces.append(word[:length])
            word = word[length:]
        pieces.append(word)
    return pieces
