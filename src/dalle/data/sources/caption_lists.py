"""What says which picture of a folder has which captions: captions.jsonl, captions.csv, or a text file beside each picture."""

import csv
import io
import json
import os
import re
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from dalle.data.sources.rows import clean_caption, decode_caption, is_inside

JSONL, CSV = "captions.jsonl", "captions.csv"
SPLITS = ("train", "val", "test")
PICTURES = (".jpg", ".jpeg", ".png", ".webp")  # what is looked for; a list may name any image
DELIMITERS = (",", ";", "\t")  # spreadsheets write the one of their country
MAX_TEXT_BYTES = 2**20  # of a text file beside a picture: thousands of captions


class Entry(NamedTuple):
    """One caption of one picture. `place` is where a person finds it, `split` what it says of itself, None if nothing."""

    place: str
    pair_id: str
    file: str
    caption: str
    split: str | None


def lists_in(folder: Path) -> list[str]:
    """Which ways of naming captions `folder` has; text files beside pictures count where there is no list alone."""
    lists = [name for name in (JSONL, CSV) if (folder / name).is_file()]
    beside = any(picture.with_suffix(".txt").is_file() for picture in pictures_below(folder)) if not lists else False
    return lists + [".txt"] * beside


def entries_of(folder: Path, problems: list[str]) -> Iterator[Entry]:
    """All entries that can be used; two lists, or none, are a `ValueError`."""
    found = lists_in(folder)
    if len(found) != 1:
        raise ValueError(f"{folder}: holds {' and '.join(found) or 'no captions'}; one list is read, take the other away")
    return {JSONL: _of_jsonl, CSV: _of_csv, ".txt": _of_text_files}[found[0]](folder, problems)


def pictures_below(folder: Path) -> Iterator[Path]:
    """Files that are called like pictures, also in sub-folders, by name; hidden ones do not count."""
    for parent, folders, files in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith((".", "__MACOSX")))
        for name in sorted(files):
            if name.lower().endswith(PICTURES) and not name.startswith("."):
                yield Path(parent) / name


def _of_jsonl(folder: Path, problems: list[str]) -> Iterator[Entry]:
    """Of every line its number from 1 is the pair's id; empty lines count but are nothing."""
    path = folder / JSONL
    for number, line in enumerate(path.read_bytes().splitlines(), start=1):
        if not line.strip():
            continue
        place = f"{path}, line {number}"
        try:
            fields = json.loads(line)
        except (ValueError, RecursionError) as error:
            problems.append(f"{place}: not JSON: {error}")
            continue
        fields = fields if isinstance(fields, dict) else {}
        yield from _entry(place, str(number), fields, decode_caption(line[:200]), problems)


def _of_csv(folder: Path, problems: list[str]) -> Iterator[Entry]:
    """As spreadsheets save it: with or without a byte order mark, any line ends, commas, semicolons or tabs, quoted or not."""
    path = folder / CSV
    text = path.read_bytes().decode("utf-8-sig", "replace")
    header = next(iter(text.splitlines()), "").lower()
    delimiter = max(DELIMITERS, key=header.count)
    rows = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    columns = [name.strip().lower() for name in next(rows, [])]
    if not {"file", "caption"} <= set(columns):
        raise ValueError(f"{path}: its first line names the columns file, caption and perhaps split; it is {header[:200]!r}")
    while True:
        first = rows.line_num + 1
        place = f"{path}, line {first}"
        try:
            row = next(rows, None)
        except csv.Error as error:
            problems.append(f"{place}: not CSV: {error}")
            continue
        if row is None:
            return
        if not any(cell.strip() for cell in row):
            continue
        if len(row) != len(columns):
            problems.append(f"{place}: has {len(row)} columns, the first line {len(columns)}: a caption with a comma is quoted")
        elif "\ufffd" in "".join(row):
            problems.append(f"{place}: not UTF-8: save the table as 'CSV UTF-8'")
        else:
            yield from _entry(place, str(first), dict(zip(columns, row, strict=True)), str(row)[:200], problems)


def _entry(place: str, pair_id: str, fields: dict, shown: str, problems: list[str]) -> Iterator[Entry]:
    file, caption, split = fields.get("file"), fields.get("caption"), fields.get("split")
    caption = clean_caption(caption) if isinstance(caption, str) else ""
    if not isinstance(file, str) or not file.strip() or not caption:
        problems.append(f'{place}: no "file", or no "caption": {shown}')
    elif not is_inside(file):
        problems.append(f"{place}: its file {file!r} leads out of the folder; skipped")
    elif split not in (*SPLITS, None, ""):
        problems.append(f"{place}: its split {split!r} is none of {', '.join(SPLITS)}; skipped")
    else:
        yield Entry(place, pair_id, PurePosixPath(file).as_posix(), caption, split or None)


def _of_text_files(folder: Path, problems: list[str]) -> Iterator[Entry]:
    """Every line that is not blank is a caption; `<picture's number>-<line from 0>` is the pair's id."""
    owners: dict[Path, Path] = {}
    for number, picture in enumerate(pictures_below(folder), start=1):
        path = picture.with_suffix(".txt")
        if not path.is_file():
            problems.append(f"{picture}: has no caption: {path.name} is not there")
        elif path in owners:
            problems.append(f"{picture}: {path.name} is that of {owners[path].name} already; skipped")
        elif path.stat().st_size > MAX_TEXT_BYTES:
            problems.append(f"{path}: more than {MAX_TEXT_BYTES} bytes, which are no captions; skipped")
        else:
            captions = [(line, decode_caption(data)) for line, data in enumerate(split_lines(path.read_bytes()))]
            captions = [(line, caption) for line, caption in captions if caption]
            if not captions:
                problems.append(f"{path}: holds no caption")
            for line, caption in captions:
                yield Entry(str(path), f"{number}-{line}", picture.relative_to(folder).as_posix(), caption, None)
        owners.setdefault(path, picture)
    for path in sorted(folder.rglob("*.txt")):
        if path not in owners and not any(part.startswith((".", "__MACOSX")) for part in path.relative_to(folder).parts):
            problems.append(f"{path}: lies there, but no picture is called like it")


def split_lines(data: bytes) -> list[bytes]:
    """Lines of any system's text files; only real line ends count, not the exotic ones of `str.splitlines`."""
    return re.split(rb"\r\n|\n|\r", data)
