"""Text that others wrote: byte order marks are honoured, without one it is strictly UTF-8; nothing is replaced or dropped."""

import codecs
import csv
import io
import re
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path

MARKS = (  # those of UTF-32 first: that of UTF-16 begins like one of them
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
DELIMITERS = (",", ";", "\t")  # spreadsheets write the one of their country
WORKBOOK = b"PK\x03\x04"  # .xlsx and .ods are zip files

_SURROGATES = re.compile("[\ud800-\udfff]")  # stray bytes (see `_decoded`), and half characters, which JSON can spell
_LINE_ENDS = re.compile("\r\n|\n|\r")


def decode_text(data: bytes) -> str:
    """The text in a file's bytes; a `ValueError` says what it is instead, and leaves the file's name to the caller."""
    return require_text(_decoded(data))


def read_text(path: Path) -> str:
    """The text of a file; one that cannot be opened or is no text is a `ValueError` naming it."""
    with _named(path):
        return decode_text(path.read_bytes())


def text_lines(path: Path) -> list[str]:
    """Lines of a file, without their ends. A line with stray bytes is there, for `require_text` to refuse it alone.

    A file that is no text as a whole, or cannot be opened, is a `ValueError` naming it.
    """
    with _named(path):
        return split_lines(_decoded(path.read_bytes()))


def split_lines(text: str) -> list[str]:
    """Lines of any system's text files; only real line ends count, not the exotic ones of `str.splitlines`."""
    return _LINE_ENDS.split(text)


def require_text(text: str) -> str:
    """The same text, or a `ValueError` if a part of it was not UTF-8."""
    stray = _SURROGATES.search(text)
    if stray is None:
        return text
    before, code = text[: stray.start()][-20:], ord(stray[0])
    if not 0xDC80 <= code <= 0xDCFF:
        raise ValueError(f"holds half a character (\\u{code:04x}) after {before!r}, as texts that were cut by a program do")
    raise ValueError(
        f"not UTF-8: byte 0x{code - 0xDC00:02X} after {before!r}, probably Windows-1252 or Latin-1; save the file as UTF-8"
    )


def table_rows(path: Path, required: Collection[str], problems: list[str]) -> Iterator[tuple[int, dict[str, str]]]:
    """(line number from 1, cells by column) of a CSV table as any spreadsheet saves it; blank rows are left out.

    Separated by commas, semicolons or tabs, with Excel's first line `sep=;` or without, quoted or not, UTF-8 or, with a byte
    order mark, UTF-16. Columns are called in lower case. A row that cannot be read is a problem that names file and line; a
    table without the columns `required` is a `ValueError`.
    """
    with _named(path):
        text = _decoded(path.read_bytes())
    excel = re.match("sep=(.)(\r\n|\n|\r|$)", text, re.IGNORECASE)
    text = text[excel.end() :] if excel else text
    header = split_lines(text[:10_000])[0]
    delimiter = excel[1] if excel else max(DELIMITERS, key=header.count)
    rows = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    skipped = 1 if excel else 0
    columns = _columns(path, rows, required)
    while True:
        number = rows.line_num + skipped + 1
        try:
            row = next(rows, None)
            if row is None:
                return
            if any(cell.strip() for cell in row):
                yield number, _cells(row, columns, delimiter)
        except (csv.Error, ValueError) as error:
            words = f"not CSV: {error}" if isinstance(error, csv.Error) else str(error)
            problems.append(f"{escaped(path)}, line {number}: {words}")


def is_utf8(name: Path | str) -> bool:
    """Whether a file's name can be stored as UTF-8."""
    return _SURROGATES.search(str(name)) is None


def escaped(name: Path | str) -> str:
    """A file's name as it can be printed and stored: a byte that is not UTF-8 as `\\xe9`, half a character as `\\ud83d`."""
    if is_utf8(name):
        return str(name)
    codes = ((char, ord(char)) for char in str(name))
    spelt = (f"\\x{code - 0xDC00:02x}" if 0xDC80 <= code <= 0xDCFF else char for char, code in codes)
    return "".join(spelt).encode("utf-8", "backslashreplace").decode()


@contextmanager
def _named(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise ValueError(f"{escaped(path)}: cannot be opened: {error.strerror}") from None
    except ValueError as error:
        raise ValueError(f"{escaped(path)}: {error}") from None


def _decoded(data: bytes) -> str:
    """As the byte order mark says; without one, as UTF-8, with each stray byte as a lone surrogate."""
    if data.startswith(WORKBOOK):
        raise ValueError("a workbook of a spreadsheet or another zip file, not text: save it as 'CSV UTF-8'")
    encoding = next((name for mark, name in MARKS if data.startswith(mark)), "utf-8")
    try:
        text = data.decode(encoding, "surrogateescape" if encoding.startswith("utf-8") else "strict")
    except UnicodeDecodeError as error:
        words = f"not {encoding.upper()}, as its byte order mark says, at byte {error.start}: save it as UTF-8"
        raise ValueError(words) from None
    if "\0" in text:
        before = text.partition("\0")[0][-20:]
        raise ValueError(
            f"holds a zero byte after {before!r}: either no text, or UTF-16 without a byte order mark; save it as UTF-8"
        )
    return text


def _columns(path: Path, rows: Iterator[list[str]], required: Collection[str]) -> list[str]:
    try:
        row = [require_text(name) for name in next(rows, [])]
    except (csv.Error, ValueError) as error:
        raise ValueError(f"{escaped(path)}: its first line, which names the columns, cannot be read: {error}") from None
    columns = [name.strip().lower() for name in row]
    twice = sorted({name for name in columns if name and columns.count(name) > 1})
    if not set(required) <= set(columns) or twice:
        words = f"; {', '.join(twice)} is there twice" if twice else ""
        needed = f"its first line names the columns, {', '.join(required)} among them"
        raise ValueError(f"{escaped(path)}: {needed}; it is {str(row)[:200]}{words}")
    return columns


def _cells(row: list[str], columns: list[str], delimiter: str) -> dict[str, str]:
    if len(row) != len(columns):
        kind = {",": "comma", ";": "semicolon", "\t": "tab"}.get(delimiter, delimiter)
        raise ValueError(f"has {len(row)} columns, the first line {len(columns)}: a cell with a {kind} is quoted")
    for cell in row:
        require_text(cell)
    return dict(zip(columns, row, strict=True))
