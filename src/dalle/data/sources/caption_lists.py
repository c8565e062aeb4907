"""What says which picture of a folder has which captions: captions.jsonl, captions.csv, or a text file beside each picture."""

import json
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from dalle.data.sources.rows import clean_caption, is_inside, is_picture
from dalle.data.sources.walking import Tree, normalized, walk
from dalle.data.text_files import escaped, is_utf8, read_text, require_text, split_lines, table_rows, text_lines

JSONL, CSV, TEXT = "captions.jsonl", "captions.csv", ".txt"
SPLITS = ("train", "val", "test")
MAX_TEXT_BYTES = 2**20  # of a text file beside a picture: thousands of captions


class Entry(NamedTuple):
    """One caption of one picture. `place` is where a person finds it, `split` what it says of itself, None if nothing."""

    place: str
    pair_id: str
    file: str
    caption: str
    split: str | None


class Source(NamedTuple):
    """Usable entries of a folder, in order, and the files below it that they were read from."""

    entries: list[Entry]
    files: set[Path]


def lists_in(folder: Path) -> list[str]:
    """Which ways of naming captions `folder` has; text files beside pictures count where there is no list alone."""
    return _lists(folder) or ([TEXT] if _text_of(walk(folder)) else [])


def pictures_below(folder: Path) -> list[Path]:
    """Files that are called like pictures, also in sub-folders and behind links, by name; hidden ones do not count."""
    return [path for path in walk(folder).files if is_picture(path)]


def num_captions(folder: Path) -> int:
    """About how many captions there are: the lines of a list, or one for each text file beside a picture."""
    for name in _lists(folder):
        with open(folder / name, "rb") as file:
            return sum(1 for line in file if line.strip())
    return len(_text_of(walk(folder)))


def read_captions(tree: Tree, problems: list[str]) -> Source:
    """All captions that can be used; two lists, or none, are a `ValueError`."""
    lists = _lists(tree.folder)
    texts = {} if lists else _text_of(tree)
    found = lists or [TEXT] * bool(texts)
    if len(found) != 1:
        words = f"holds {' and '.join(found) or 'no captions'}; one list is read, take the other away"
        raise ValueError(f"{tree.folder}: {words}")
    if texts:
        return Source(list(_of_text_files(tree, texts, problems)), set(texts.values()))
    path = tree.folder / lists[0]
    entries = list(_of_jsonl(path, problems) if lists[0].lower() == JSONL else _of_csv(path, problems))
    on_disk = tree.on_disk({entry.file for entry in entries})
    return Source([entry._replace(file=on_disk[entry.file]) for entry in entries], {path})


def _lists(folder: Path) -> list[str]:
    """Files called like a list, in capitals or not."""
    if not folder.is_dir():
        return []
    names = sorted(path.name for path in folder.iterdir() if path.name.lower() in (JSONL, CSV) and path.is_file())
    return sorted(names, key=lambda name: name.lower() != JSONL)


def _text_of(tree: Tree) -> dict[Path, Path]:
    """By picture its text file, whose name is the same but for .txt, in capitals or not, and however accents are spelt."""
    texts: dict[tuple[Path, str], Path] = {}
    for path in tree.files:
        if path.suffix.lower() == TEXT:
            texts.setdefault((path.parent, normalized(path.stem)), path)
    exact = {path for path in tree.files if path.suffix == TEXT}
    found = {}
    for picture in filter(is_picture, tree.files):
        same = picture.with_suffix(TEXT)
        path = same if same in exact else texts.get((picture.parent, normalized(picture.stem)))
        if path is not None:
            found[picture] = path
    return found


def _of_jsonl(path: Path, problems: list[str]) -> Iterator[Entry]:
    """Of every line its number from 1 is the pair's id; empty lines count but are nothing."""
    for number, line in enumerate(text_lines(path), start=1):
        if not line.strip():
            continue
        place = f"{path}, line {number}"
        try:
            fields = json.loads(require_text(line))
        except (ValueError, RecursionError) as error:
            words = "not JSON: " if isinstance(error, (json.JSONDecodeError, RecursionError)) else ""
            problems.append(f"{place}: {words}{error}")
            continue
        fields = fields if isinstance(fields, dict) else {}
        yield from _entry(place, str(number), fields, line[:200], problems)


def _of_csv(path: Path, problems: list[str]) -> Iterator[Entry]:
    """As spreadsheets save it; the pair's id is the number of the row's first line."""
    for number, fields in table_rows(path, ("file", "caption"), problems):
        yield from _entry(f"{path}, line {number}", str(number), fields, str([*fields.values()])[:200], problems)


def _entry(place: str, pair_id: str, fields: dict, shown: str, problems: list[str]) -> Iterator[Entry]:
    file, caption, split = fields.get("file"), fields.get("caption"), fields.get("split")
    try:
        caption = clean_caption(caption) if isinstance(caption, str) else ""
    except ValueError as error:
        problems.append(f"{place}: its caption {error}")
        return
    if not isinstance(file, str) or not file.strip() or not caption:
        problems.append(f'{place}: no "file", or no "caption" that can be seen: {shown}')
    elif not is_utf8(file):
        problems.append(f"{place}: its file '{escaped(file)}' is not called in UTF-8; skipped")
    elif not is_inside(file):
        problems.append(f"{place}: its file {file!r} leads out of the folder; skipped")
    elif split not in (*SPLITS, None, ""):
        problems.append(f"{place}: its split {split!r} is none of {', '.join(SPLITS)}; skipped")
    else:
        yield Entry(place, pair_id, PurePosixPath(file).as_posix(), caption, split or None)


def _of_text_files(tree: Tree, texts: dict[Path, Path], problems: list[str]) -> Iterator[Entry]:
    """Every line that is not blank is a caption; `<picture's number>-<line from 0>` is the pair's id."""
    owners: dict[Path, Path] = {}
    for number, picture in enumerate(filter(is_picture, tree.files), start=1):
        path = texts.get(picture)
        if path is None:
            problems.append(f"{picture}: has no caption: {picture.stem}{TEXT} is not there")
        elif path in owners:
            problems.append(f"{picture}: {path.name} is that of {owners[path].name} already; skipped")
        else:
            owners[path] = picture
            try:
                captions = _captions_of(path)
            except ValueError as error:
                problems.append(str(error))
                continue
            file = picture.relative_to(tree.folder).as_posix()
            yield from (Entry(str(path), f"{number}-{line}", file, caption, None) for line, caption in captions)
    for path in sorted(path for path in tree.files if path.suffix.lower() == TEXT and path not in owners):
        problems.append(f"{path}: lies there, but no picture is called like it")


def _captions_of(path: Path) -> list[tuple[int, str]]:
    """(line from 0, caption) of all lines that are not blank; a file without any is a `ValueError`."""
    if path.stat().st_size > MAX_TEXT_BYTES:
        raise ValueError(f"{path}: more than {MAX_TEXT_BYTES} bytes, which are no captions; skipped")
    lines = enumerate(map(clean_caption, split_lines(read_text(path))))
    captions = [(line, caption) for line, caption in lines if caption]
    if not captions:
        raise ValueError(f"{path}: holds no caption")
    return captions
