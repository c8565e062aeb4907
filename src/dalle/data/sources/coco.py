"""MS-COCO captions in their original layout."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd

from dalle.config import LinesError
from dalle.data.manifest import manifest_from_rows
from dalle.data.sources.rows import ANY_PICTURE, clean_caption, describe_files, is_inside, unlisted_files
from dalle.data.sources.walking import walk
from dalle.data.text_files import escaped, is_utf8, read_text

EXACT = 2**53  # whole numbers from here on are not told apart as floats
TREES = {
    2014: """{folder}/
  annotations/captions_train2014.json
  annotations/captions_val2014.json
  train2014/COCO_train2014_000000000009.jpg ...
  val2014/COCO_val2014_000000000042.jpg ...""",
    2017: """{folder}/
  annotations/captions_train2017.json
  annotations/captions_val2017.json
  train2017/000000000009.jpg ...
  val2017/000000000139.jpg ...""",
}


def is_coco(folder: Path) -> bool:
    """Whether it is MS-COCO's layout, of any year."""
    return any(folder.glob("annotations/captions_*.json"))


def read_coco(folder: Path | str, year: int) -> tuple[pd.DataFrame, list[str]]:
    """(manifest, problems) of the splits 'train' and 'val', one pair an annotation, sorted by image and annotation.

    Images without captions, captions without images and files that no annotation knows are problems. One of the splits may
    be absent altogether; the pictures may also lie under `images/`.
    """
    folder = Path(folder)
    parts = [_read_split(folder, split, year) for split in ("train", "val") if _annotations(folder, split, year).is_file()]
    if not parts:
        others = sorted(path.name for path in folder.glob("annotations/captions_*.json"))
        words = f" ({', '.join(others)} there: another coco_year?)" if others else ""
        raise LinesError(f"{folder}: no MS-COCO captions of {year}{words}; expected\n{TREES[year].format(folder=folder)}")
    manifest = manifest_from_rows(row for rows, _ in parts for row in rows)
    problems = [problem for _, problems in parts for problem in problems]
    twice = manifest.pair_id.duplicated() | (manifest.split != manifest.groupby("image_id").split.transform("first"))
    for pair_id in manifest.pair_id[twice]:
        problems.append(f"{folder}: annotation {pair_id} or its image is in both splits; left out of val")
    return manifest[~twice].reset_index(drop=True), problems


def _read_split(folder: Path, split: str, year: int) -> tuple[list[dict[str, Any]], list[str]]:
    path = _annotations(folder, split, year)
    pictures = next((p for p in (folder / f"{split}{year}", folder / "images" / f"{split}{year}") if p.is_dir()), None)
    if pictures is None:
        tree = TREES[year].format(folder=folder)
        raise LinesError(f"{folder}: {path.name} is there, its pictures are not; expected\n{tree}")
    content = _load(path)
    problems: list[str] = []
    names = dict(_images(content["images"], path, problems))
    captions: dict[int, list[tuple[int, str]]] = {}
    for pair_id, image_id, caption in _captions(content["annotations"], names, path, problems):
        captions.setdefault(image_id, []).append((pair_id, caption))
    for image_id in sorted(names.keys() - captions.keys()):
        problems.append(f"{path}: image {image_id} ({names[image_id]}) has no caption")
    tree = walk(pictures)
    on_disk = tree.on_disk(names.values())
    names = {image_id: on_disk[name] for image_id, name in names.items()}
    problems += unlisted_files(tree, {pictures / name for name in names.values()}, ANY_PICTURE)
    rows = []
    captioned = sorted(captions)
    for image_id, image in zip(captioned, describe_files([pictures / names[image_id] for image_id in captioned]), strict=True):
        if isinstance(image, str):
            problems.append(image)
            continue
        for pair_id, caption in sorted(captions[image_id]):
            rows.append({"pair_id": str(pair_id), "image_id": str(image_id), "caption": caption, **image, "split": split})
    return rows, problems + tree.notes({Path(row["file"]) for row in rows}, ANY_PICTURE)


def _annotations(folder: Path, split: str, year: int) -> Path:
    return folder / "annotations" / f"captions_{split}{year}.json"


def _load(path: Path) -> dict[str, list]:
    text = read_text(path)
    try:
        content = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path}: not JSON: {error}") from None
    for key in ("images", "annotations"):
        if not isinstance(content, dict) or not isinstance(content.get(key), list):
            raise ValueError(f"{path}: has no list '{key}'; expected the original captions file of MS-COCO")
    return content


def _images(entries: list, path: Path, problems: list[str]) -> Iterator[tuple[int, str]]:
    """(id, file name) of every image entry that can be used."""
    ids: set[int] = set()
    names: set[str] = set()
    for entry in entries:
        entry = entry if isinstance(entry, dict) else {"": entry}
        image_id, name = _whole_number(entry.get("id")), entry.get("file_name")
        if image_id is None or not isinstance(name, str):
            wrong = "file_name is no text" if image_id is not None else f"id {_shown(entry.get('id'))} is no whole number"
            problems.append(f"{path}: an image whose {wrong}: {_shown(entry)}")
        elif image_id in ids or name in names:
            problems.append(f"{path}: image {image_id} or its file {name} is listed twice; the first is used")
        elif not is_utf8(name):
            problems.append(f"{path}: image {image_id}: its file_name '{escaped(name)}' is not UTF-8; skipped")
        elif not is_inside(name):
            problems.append(f"{path}: image {image_id}: its file_name {name!r} leads out of the folder; skipped")
        else:
            ids.add(image_id)
            names.add(name)
            yield image_id, name


def _captions(entries: list, names: dict[int, str], path: Path, problems: list[str]) -> Iterator[tuple[int, int, str]]:
    """(annotation id, image id, caption) of every annotation that can be used."""
    ids: set[int] = set()
    for entry in entries:
        entry = entry if isinstance(entry, dict) else {}
        pair_id, image_id = _whole_number(entry.get("id")), _whole_number(entry.get("image_id"))
        try:
            caption = clean_caption(entry["caption"]) if isinstance(entry.get("caption"), str) else ""
        except ValueError as error:
            problems.append(f"{path}: annotation {pair_id}: its caption {error}")
            continue
        if pair_id is None:
            problems.append(f"{path}: an annotation whose id {_shown(entry.get('id'))} is no whole number: {_shown(entry)}")
        elif image_id is None:
            problems.append(f"{path}: annotation {pair_id}: its image_id {_shown(entry.get('image_id'))} is no whole number")
        elif not caption:
            problems.append(f"{path}: annotation {pair_id}: no caption that can be seen")
        elif image_id not in names:
            problems.append(f"{path}: annotation {pair_id}: there is no image {image_id}")
        elif pair_id in ids:
            problems.append(f"{path}: annotation {pair_id} is listed twice; the first is used")
        else:
            ids.add(pair_id)
            yield pair_id, image_id, caption


def _whole_number(value: object) -> int | None:
    """An id: a whole number, also as converters write it, in text ("7", "7.0") or as a float; None for anything else."""
    if isinstance(value, str) and re.fullmatch(r"\s*-?\d{1,18}(\.0*)?\s*", value, re.ASCII):
        return int(value.partition(".")[0])
    if isinstance(value, float) and value.is_integer() and abs(value) < EXACT:
        return int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _shown(value: object) -> str:
    return ascii(value)[:200]
