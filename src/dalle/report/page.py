"""Sections of text, tables and figures -> one page of GitHub Markdown."""

import html
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from dalle.report.style import DEVICE_SCALE


class Markdown(str):
    """Text that is already Markdown; every other string on a page is escaped."""


@dataclass(frozen=True, kw_only=True)
class Table:
    """Cells as text; columns named in `numbers` are set flush right."""

    header: Sequence[str]
    rows: Sequence[Sequence[str]]
    numbers: Sequence[str] = ()


@dataclass(frozen=True, kw_only=True)
class Origin:
    """What a figure was made from, in words and as a table: shown when a reader asks for it."""

    text: str
    table: Table


@dataclass(frozen=True, kw_only=True)
class PageFigure:
    """A PNG on disk with a caption that says what it shows and over what."""

    file: Path
    title: str
    caption: str
    origin: Origin | None


@dataclass(frozen=True, kw_only=True)
class Section:
    """A heading over paragraphs, then tables, then figures."""

    title: str
    text: Sequence[str] = ()
    tables: Sequence[Table] = ()
    figures: Sequence[PageFigure] = ()


def write_page(path: Path, title: str, summary: str, sections: Sequence[Section]) -> None:
    """Write the page, replacing `path` atomically; figures are linked relative to its folder and numbered in order."""
    parts = [f"# {escape(title)}", escape(summary)]
    number = 0
    for section in sections:
        parts.append(f"## {escape(section.title)}")
        parts.extend(escape(paragraph) for paragraph in section.text)
        parts.extend(render_table(table) for table in section.tables)
        for figure in section.figures:
            number += 1
            parts.append(_render_figure(figure, number, path.parent))
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(path.name + ".tmp")
    temporary.write_text("\n\n".join(parts) + "\n", encoding="utf-8")
    os.replace(temporary, path)


def escape(text: str) -> str:
    """`text` on one line, shown as it is: no character of it acts as Markdown, HTML or a formula."""
    if isinstance(text, Markdown):
        return str(text)
    line = " ".join(str(text).split())
    line = line.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    line = re.sub(r"([\\`*_{}\[\]|~$])", r"\\\1", line)
    # at the start of a line these would open a list, a heading or a rule
    return re.sub(r"^(\d+(?=[.)](?:\s|$))|(?=[#+\-=]))(.)", r"\1\\\2", line)


def render_table(table: Table) -> str:
    """A GitHub table; a row of another length than the header is a ValueError."""
    for row in table.rows:
        if len(row) != len(table.header):
            raise ValueError(f"table with columns {', '.join(table.header)}: a row has {len(row)} cells")
    rule = ["---:" if name in table.numbers else "---" for name in table.header]
    lines = [[escape(name) for name in table.header], rule, *([escape(cell) for cell in row] for row in table.rows)]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def _render_figure(figure: PageFigure, number: int, folder: Path) -> str:
    if not figure.file.is_file():
        raise ValueError(f"{figure.file}: the figure is not there; draw it before the page that shows it")
    with Image.open(figure.file) as image:
        width = image.width // DEVICE_SCALE
    source = Path(os.path.relpath(figure.file, folder)).as_posix()
    picture = f'<img src="{html.escape(source)}" width="{width}" alt="{html.escape(figure.title)}">'
    shown = f"{picture}\n\n**Figure {number}. {escape(figure.title)}.** {escape(figure.caption)}"
    return shown if figure.origin is None else f"{shown}\n\n{_render_origin(figure.origin)}"


def _render_origin(origin: Origin) -> str:
    """Folded away; GitHub reads Markdown inside HTML only between empty lines."""
    inside = "\n\n".join([escape(origin.text), *([render_table(origin.table)] if origin.table.rows else [])])
    return f"<details><summary>Where this comes from</summary>\n\n{inside}\n\n</details>"
