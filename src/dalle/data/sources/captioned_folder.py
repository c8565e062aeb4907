"""A folder of pictures with a list of captions, the layout that anyone's own pictures can be brought in."""

import json
from collections.abc import Iterator
from pathlib import Path

import pandas as pd

from dalle.data.manifest import manifest_from_rows
from dalle.data.sources.rows import clean_caption, describe_files, is_inside

TREE = """{folder}/
  captions.jsonl    a JSON object a line: {{"file": "cat.jpg", "caption": "the exact same cat on the top as a sketch ..."}}
  cat.jpg ..."""


def read_captioned_folder(folder: Path | str) -> tuple[pd.DataFrame, list[str]]:
    """(manifest, problems), all of split 'test', a pair for each line of `captions.jsonl`, whose number is the pair's id.

    A picture may have many captions. Lines that are not such an object, name a file outside the folder or one that is no
    image are problems; pictures that no line names are nobody's business.
    """
    folder = Path(folder)
    path = folder / "captions.jsonl"
    if not path.is_file():
        raise ValueError(f"{folder}: no captions.jsonl; expected\n{TREE.format(folder=folder)}")
    problems: list[str] = []
    lines = list(_lines(path, problems))
    rows = []
    described = describe_files([folder / file for _, file, _ in lines])
    for (number, file, caption), image in zip(lines, described, strict=True):
        if isinstance(image, str):
            problems.append(f"{path}, line {number}: {image}")
        else:
            rows.append({"pair_id": str(number), "image_id": file, "caption": caption, **image, "split": "test"})
    return manifest_from_rows(rows), problems


def _lines(path: Path, problems: list[str]) -> Iterator[tuple[int, str, str]]:
    """(line number from 1, file, caption) of every line that can be used; empty lines count but are nothing."""
    for number, line in enumerate(path.read_bytes().splitlines(), start=1):
        if not line.strip():
            continue
        try:
            entry = json.loads(line)
        except (ValueError, RecursionError) as error:
            problems.append(f"{path}, line {number}: not JSON: {error}")
            continue
        file, caption = (entry.get("file"), entry.get("caption")) if isinstance(entry, dict) else (None, None)
        caption = clean_caption(caption) if isinstance(caption, str) else ""
        if not isinstance(file, str) or not caption:
            problems.append(f'{path}, line {number}: no "file", or no "caption": {line[:200]!r}')
        elif not is_inside(file):
            problems.append(f"{path}, line {number}: its file {file!r} leads out of the folder; skipped")
        else:
            yield number, file, caption
