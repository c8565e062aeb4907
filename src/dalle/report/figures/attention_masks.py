"""Who attends to whom in the sparse transformer (the paper's Figure 11)."""

from collections.abc import Mapping

import numpy as np
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure

from dalle.report.lettering import text_width
from dalle.report.sheet import HEADER, MARGIN, Sheet
from dalle.report.style import DEVICE_SCALE, HEADING, LABEL, MODELS, MUTED, WIDTH, styled, tint

IMAGE = MODELS["dalle"].colour
TEXT = "#d99000"
QUERY = "#d55e00"
COLOURS = {
    "the query": to_rgb(QUERY),
    "text it attends to": tint(TEXT, 0.75),
    "image tokens it attends to": tint(IMAGE, 0.85),
    "earlier, not attended": tint("#8c959f", 0.28),
    "later": (1.0, 1.0, 1.0),
}
BOX, GAP = 250, 36


@styled
def attention_masks(masks: Mapping[str, np.ndarray], text_length: int, grid_size: int) -> Figure:
    """Each mask, name -> bool (S, S) with [query, key], as a matrix and as what one pixel of the grid sees.

    S = text_length + grid_size**2.
    """
    length = text_length + grid_size**2
    if not 1 <= len(masks) <= 4:
        raise ValueError(f"masks: one to four fit side by side, got {len(masks)}")
    for name, mask in masks.items():
        if mask.shape != (length, length) or mask.dtype != bool:
            raise ValueError(f"masks[{name!r}]: expected bool ({length}, {length}), got {mask.dtype} {mask.shape}")
    gap = GAP if len(masks) < 4 else 20
    box = min(BOX, (WIDTH - 2 * MARGIN - gap * (len(masks) - 1)) // len(masks))
    cell = box * DEVICE_SCALE // length / DEVICE_SCALE
    if cell == 0:
        raise ValueError(f"masks: {length} tokens do not fit into {box} pixels; draw the same masks for a smaller grid")
    pixel = min(30, int(cell * length // grid_size))
    grid_height = pixel * (grid_size + 1.6)
    top = HEADER + 40
    sheet = Sheet(
        top + cell * length + 46 + grid_height + 56,
        "Attention masks of the sparse transformer",
        f"{text_length} text tokens, then {grid_size} × {grid_size} image tokens in raster order · "
        "above: query (row) by key (column) · below: what one image token sees",
    )
    inner = cell * length
    pitch = inner + (WIDTH - 2 * MARGIN - len(masks) * inner) / max(1, len(masks) - 1 if len(masks) > 2 else len(masks))
    start = MARGIN if len(masks) > 2 else (WIDTH - pitch * (len(masks) - 1) - inner) / 2
    query = text_length + (grid_size * 5 // 8) * grid_size + grid_size // 2 - (grid_size > 4)
    for index, (name, mask) in enumerate(masks.items()):
        x = round(start + index * pitch)
        sheet.text(x, top - 11, name, size=HEADING, weight="bold")
        num_text, num_image = int(mask[query, :text_length].sum()), int(mask[query, text_length:].sum())
        sheet.block(_matrix(mask, text_length, query), x, top, inner, inner)
        sheet.frame(x, top, inner, inner)
        y = top + inner + 30
        sheet.text(x, y, f"sees {num_text} text + {num_image} image tokens", size=LABEL, colour=MUTED)
        _grid(sheet, x, y + 14, pixel, mask[query], text_length, grid_size, query)
    _legend(sheet, sheet.height - MARGIN - 10)
    return sheet.figure


def _matrix(mask: np.ndarray, text_length: int, query: int) -> np.ndarray:
    """(S, S, 3): attended keys in the colour of their kind, the query's row a little darker."""
    length = len(mask)
    colours = np.ones((length, length, 3))
    colours[np.tril_indices(length)] = tint("#8c959f", 0.16)
    is_text = np.arange(length) < text_length
    colours[mask & is_text] = tint(TEXT, 0.5)
    colours[mask & ~is_text] = tint(IMAGE, 0.6)
    row = mask[query]
    colours[query, row & is_text] = COLOURS["text it attends to"]
    colours[query, row & ~is_text] = to_rgb(IMAGE)
    colours[query, query] = COLOURS["the query"]
    return colours


def _grid(
    sheet: Sheet, x: float, y: float, pixel: float, row: np.ndarray, text_length: int, grid_size: int, query: int
) -> None:
    """What the query sees: a strip of text tokens over the grid of image tokens."""

    def kind(key: int) -> str:
        if key == query:
            return "the query"
        if row[key]:
            return "text it attends to" if key < text_length else "image tokens it attends to"
        return "earlier, not attended" if key < query else "later"

    width = min(pixel, pixel * grid_size / text_length)
    for key in range(text_length):
        _cell(sheet, x + key * width, y, width, pixel * 0.6, kind(key))
    for key in range(text_length, len(row)):
        line, column = divmod(key - text_length, grid_size)
        _cell(sheet, x + column * pixel, y + pixel * (1 + line), pixel, pixel, kind(key))


def _cell(sheet: Sheet, x: float, y: float, width: float, height: float, kind: str) -> None:
    sheet.box(x + 1, y + 1, width - 2, height - 2, COLOURS[kind])
    if kind == "later":
        sheet.frame(x + 1, y + 1, width - 2, height - 2)


def _legend(sheet: Sheet, y: float) -> None:
    x = MARGIN
    for kind in COLOURS:
        _cell(sheet, x, y - 10, 14, 14, kind)
        sheet.text(x + 20, y + 1, kind, size=LABEL, colour=MUTED)
        x += 20 + text_width(kind, LABEL) + 26
