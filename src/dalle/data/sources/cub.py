"""Caltech-UCSD Birds 200-2011 with the ten captions an image of Reed et al. 2016."""

import re
from pathlib import Path
from typing import Any

import pandas as pd

from dalle.data.manifest import manifest_from_rows
from dalle.data.sources.rows import decode_caption, describe_files, is_inside, unlisted_files

TREE = """{folder}/
  images.txt              <image id> <class>/<name>.jpg
  classes.txt             <class id> <class>
  images/<class>/<name>.jpg
  testclasses.txt         the classes of the test split, one a line
  text_c10/<class>/<name>.txt
(the first three may lie in CUB_200_2011/, the last two in cvpr2016_cub/)"""


def read_cub(folder: Path | str) -> tuple[pd.DataFrame, list[str]]:
    """(manifest, problems), one pair a caption line; 'test' are the classes of testclasses.txt, as the GANs split.

    Blank lines are no captions but count in the line number of `pair_id`. The file train_test_split.txt, which splits within
    classes, is not used.
    """
    folder = Path(folder)
    tables = _find(folder, "CUB_200_2011", ("images.txt", "classes.txt", "images"))
    texts = _find(folder, "cvpr2016_cub", ("testclasses.txt", "text_c10"))
    problems: list[str] = []
    classes = set(_table(tables / "classes.txt", problems).values())
    test_classes = _test_classes(texts, classes, problems)
    listed = _table(tables / "images.txt", problems)
    names = {image_id: name for image_id, name in listed.items() if _usable(image_id, name, classes, problems)}
    caption_files = {image_id: (texts / "text_c10" / name).with_suffix(".txt") for image_id, name in names.items()}
    problems += unlisted_files(texts / "text_c10", set(caption_files.values()), ("*/*.txt",))
    problems += unlisted_files(tables / "images", {tables / "images" / name for name in names.values()}, ("*/*.jpg", "*/*.png"))
    rows: list[dict[str, Any]] = []
    for image_id, image in zip(names, describe_files([tables / "images" / name for name in names.values()]), strict=True):
        if isinstance(image, str):
            problems.append(image)
            continue
        split = "test" if names[image_id].split("/")[0] in test_classes else "train"
        for line, caption in _captions(caption_files[image_id], problems):
            rows.append({"pair_id": f"{image_id}-{line}", "image_id": image_id, "caption": caption, **image, "split": split})
    return manifest_from_rows(rows), problems


def _find(folder: Path, inner: str, needed: tuple[str, ...]) -> Path:
    for place in (folder, folder / inner):
        if all((place / name).exists() for name in needed):
            return place
    raise ValueError(f"{folder}: not CUB-200-2011 with captions ({', '.join(needed)}); expected\n{TREE.format(folder=folder)}")


def _table(path: Path, problems: list[str]) -> dict[str, str]:
    """A file of lines `<id> <name>` with ids and names unique."""
    table: dict[str, str] = {}
    names: set[str] = set()
    for number, line in enumerate(_lines(path), start=1):
        key, _, name = line.strip().partition(" ")
        if not line.strip():
            continue
        if not name or key in table or name in names:
            problems.append(f"{path}: line {number}: not an id and a name, each new: {line!r}; skipped")
            continue
        table[key] = name
        names.add(name)
    return table


def _usable(image_id: str, name: str, classes: set[str], problems: list[str]) -> bool:
    if is_inside(name) and name.count("/") == 1 and name.split("/")[0] in classes:
        return True
    problems.append(f"images.txt: image {image_id}: {name!r} is not <class of classes.txt>/<name>.jpg; skipped")
    return False


def _test_classes(texts: Path, classes: set[str], problems: list[str]) -> set[str]:
    listed = {line.strip() for line in _lines(texts / "testclasses.txt")} - {""}
    unknown = sorted(listed - classes)
    problems += [f"{texts / 'testclasses.txt'}: {name!r} is not a class of classes.txt" for name in unknown]
    if not listed & classes:
        raise ValueError(f"{texts / 'testclasses.txt'}: names none of the {len(classes)} classes, so there is no test split")
    return listed


def _captions(path: Path, problems: list[str]) -> list[tuple[int, str]]:
    """(line number from 0, caption) of the lines that are not blank."""
    if not path.is_file():
        problems.append(f"{path}: no captions for this image")
        return []
    captions = [(number, line.strip()) for number, line in enumerate(_lines(path)) if line.strip()]
    if not captions:
        problems.append(f"{path}: holds no caption")
    return captions


def _lines(path: Path) -> list[str]:
    """Decoded lines; only real line ends count, not the exotic ones of `str.splitlines`."""
    return [decode_caption(line) for line in re.split(rb"\r\n|\n|\r", path.read_bytes())]
