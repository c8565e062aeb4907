"""Files of votes, whoever has saved them since: from the page's CSV to one table, every row with where it stood."""

import csv
import io
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

COLUMNS = ("sheet_id", "rater_id", "pair_id", "question", "choice", "milliseconds", "answered_at")
PLACE = ("file", "row")
CHOICES = {"realism": ("left", "right"), "match": ("left", "right", "neither")}
DELIMITERS = (",", ";", "\t")
MOST_BYTES = 2**26  # a file of a million votes
BYTE_ORDER_MARKS = ((b"\xef\xbb\xbf", "utf-8-sig"), (b"\xff\xfe", "utf-16"), (b"\xfe\xff", "utf-16"))
AGAIN = "export it again, or save it as 'CSV UTF-8'"


def read_votes(folder: Path) -> pd.DataFrame:
    """Every vote in the `*.csv` of `folder`, as text: `file, row` (its first line there), COLUMNS, `problem`; by files' names.

    Cells are freed of spaces and of the apostrophe that keeps a spreadsheet from computing them; lines without a letter are
    left out. `problem` says where a row's cells do not fit its columns; whether they make sense is not asked here. A
    ValueError names file and line where a file cannot be read as votes.
    """
    files = sorted(path for path in folder.iterdir() if path.suffix.lower() == ".csv" and path.is_file())
    rows = [row for file in files for row in _read_file(file)]
    return pd.DataFrame(rows, columns=[*PLACE, *COLUMNS, "problem"], dtype=object)


def _read_file(file: Path) -> list[tuple]:
    lines = _lines(file)
    (number, header), body = lines[0], lines[1:]
    places = [_place(file, number, header, column) for column in COLUMNS]
    rows = []
    for number, cells in body:
        known = [cells[place] if place < len(cells) else "" for place in places]
        if any("\n" in cell for cell in known):
            raise ValueError(f"{file}, line {number}: a cell goes over several lines, so quotation marks are amiss: {AGAIN}")
        fits = max(places) < len(cells) and not any(cells[len(header) :])
        rows.append((file.name, number, *known, "" if fits else f"{len(cells)} cells under {len(header)} columns"))
    return rows


def _place(file: Path, number: int, header: Sequence[str], column: str) -> int:
    found = [place for place, name in enumerate(header) if name.lower() == column]
    if len(found) != 1:
        count = "is missing" if not found else f"is there {len(found)} times"
        raise ValueError(
            f"{file}, line {number}: column {column} {count} (the columns are: {', '.join(header)}); a file of votes has "
            f"{', '.join(COLUMNS)}: use the file that the sheet's page exports"
        )
    return found[0]


def _lines(file: Path) -> list[tuple[int, list[str]]]:
    """The lines that hold anything, as cells, each with the number of its first line; the header is the first."""
    text = _text(file)
    first = next((line.strip() for line in io.StringIO(text, newline=None) if line.strip()), "")
    said = first[4:] if first.lower().startswith("sep=") else ""  # Excel's own first line
    delimiter = said or max(DELIMITERS, key=first.count)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    lines, start = [], 1
    try:
        for cells in reader:
            cells = [_bare(cell) for cell in cells]
            if any(cells) and not (said and start == 1):
                lines.append((start, cells))
            start = reader.line_num + 1
    except csv.Error as error:
        raise ValueError(f"{file}, line {start}: not CSV ({error}): {AGAIN}") from None
    if not lines:
        raise ValueError(f"{file}: is empty; a file of votes begins with its columns: {', '.join(COLUMNS)}: {AGAIN}")
    return lines


def _bare(cell: str) -> str:
    return cell.strip().removeprefix("'").strip()


def _text(file: Path) -> str:
    """The file's text: UTF-8 or UTF-16, with a byte order mark or without."""
    if file.stat().st_size > MOST_BYTES:
        raise ValueError(f"{file}: is larger than {MOST_BYTES >> 20} MB; a file of votes holds those of one sheet")
    content = file.read_bytes()
    if content.startswith(b"PK\x03\x04"):
        raise ValueError(f"{file}: is a workbook of a spreadsheet, not CSV: save it as 'CSV UTF-8'")
    encoding = next((name for mark, name in BYTE_ORDER_MARKS if content.startswith(mark)), None)
    if encoding is None:  # the columns are ASCII, so that in UTF-16 every other byte is zero
        encoding = {(True, False): "utf-16-be", (False, True): "utf-16-le"}.get(
            (content[:1] == b"\0", content[1:2] == b"\0"), "utf-8"
        )
    try:
        text = content.decode(encoding)
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise ValueError(f"{file}, line {line}: not {encoding.upper()} text at byte {error.start}: {AGAIN}") from None
    if "\0" in text:
        raise ValueError(f"{file}, line {text[: text.index(chr(0))].count(chr(10)) + 1}: holds zero bytes, not text: {AGAIN}")
    return text
