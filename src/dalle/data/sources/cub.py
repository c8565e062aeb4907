"""Caltech-UCSD Birds 200-2011 with the ten captions an image of Reed et al. 2016."""

from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any, Literal

import pandas as pd

from dalle.config import LinesError
from dalle.data.manifest import manifest_from_rows
from dalle.data.sources.cub_boxes import Bird, cropped, read_boxes
from dalle.data.sources.cub_splits import FILES, CubSplit, cub_splits
from dalle.data.sources.rows import ANY_PICTURE, clean_caption, describe_files, is_inside, unlisted_files
from dalle.data.sources.walking import Tree, walk
from dalle.data.text_files import read_text, split_lines, text_lines

CubCrop = Literal["image", "box"]
TREE = """{folder}/
  CUB_200_2011/
    images.txt              <image id> <class>/<name>.jpg
    classes.txt             <class id> <class>
    images/<class>/<name>.jpg
    train_test_split.txt    <image id> <0 or 1>; for cub_split: train_test_split
    bounding_boxes.txt      <image id> <left> <top> <width> <height>; for cub_crop: box
  cvpr2016_cub/
    text_c10/<class>/<name>.txt    the captions, one a line
    testclasses.txt         the classes of the test split, one a line; for cub_split: testclasses
(what lies in CUB_200_2011/ and cvpr2016_cub/ may also lie in {folder}/ itself; of AttnGAN's metadata
text/<class>/<name>.txt instead of text_c10/, and train/filenames.pickle, test/filenames.pickle; for cub_split: filenames)"""
TABLES, TEXTS = ("images.txt", "classes.txt"), ("cvpr2016_cub/text_c10", "text_c10", "text")


def is_cub(folder: Path) -> bool:
    return any(all((place / name).is_file() for name in TABLES) for place in (folder, folder / "CUB_200_2011"))


def read_cub(folder: Path | str, split: CubSplit, crop: CubCrop) -> tuple[pd.DataFrame, list[str]]:
    """(manifest, problems), one pair a caption line, of the splits 'train' and 'test'.

    Blank lines are no captions but count in the line number of `pair_id`. `crop` box: the picture is the square around the
    bird that the GANs are trained on.
    """
    folder = Path(folder)
    needed = (*TABLES, "images", "bounding_boxes.txt") if crop == "box" else (*TABLES, "images")
    tables = _find(folder, "CUB_200_2011", needed)
    texts = next((folder / name for name in TEXTS if (folder / name).is_dir()), None)
    if texts is None:
        raise LinesError(f"{folder}: no captions ({', '.join(TEXTS)}); expected\n{TREE.format(folder=folder)}")
    problems: list[str] = []
    classes = set(_table(tables / "classes.txt", problems).values())
    listed = _table(tables / "images.txt", problems)
    names = {image_id: name for image_id, name in listed.items() if _usable(image_id, name, classes, problems)}
    splits = cub_splits(split, _split_folder(folder, split), names, classes, problems)
    image_tree, text_tree = walk(tables / "images"), walk(texts)
    pictures = _files(image_tree, names, problems, ANY_PICTURE)
    named = {image_id: PurePosixPath(name).with_suffix(".txt").as_posix() for image_id, name in names.items()}
    caption_files = _files(text_tree, named, problems, (".txt",))
    boxes = read_boxes(tables / "bounding_boxes.txt", problems) if crop == "box" else None
    rows: list[dict[str, Any]] = []
    for image_id, image in zip(names, describe_files([*pictures.values()]), strict=True):
        try:
            picture = _picture(image_id, image, boxes)
        except ValueError as error:
            problems.append(str(error))
            continue
        for line, caption in _captions(caption_files[image_id], problems) if image_id in splits else ():
            shared = {**picture, "split": splits[image_id]}
            rows.append({"pair_id": f"{image_id}-{line}", "image_id": image_id, "caption": caption, **shared})
    used = {row["image_id"] for row in rows}
    problems += image_tree.notes({pictures[image_id] for image_id in used}, ANY_PICTURE)
    problems += text_tree.notes({caption_files[image_id] for image_id in used}, (".txt",))
    return manifest_from_rows(rows), problems


def _files(tree: Tree, names: Mapping[str, str], problems: list[str], extensions: tuple[str, ...]) -> dict[str, Path]:
    """By image id its file in the tree; files with one of the `extensions` that are nobody's are problems."""
    on_disk = tree.on_disk(names.values())
    files = {image_id: tree.folder / on_disk[name] for image_id, name in names.items()}
    problems += unlisted_files(tree, set(files.values()), extensions)
    return files


def _picture(image_id: str, image: Mapping[str, Any] | str, boxes: Mapping[str, Bird] | None) -> Mapping[str, Any]:
    """The image that could be read, or its part around the bird; a complaint instead of an image is a `ValueError`."""
    if isinstance(image, str):
        raise ValueError(image)
    if boxes is None:
        return image
    if image_id not in boxes:
        raise ValueError(f"bounding_boxes.txt: no box for image {image_id} ({image['file']})")
    return cropped(image, boxes[image_id])


def _split_folder(folder: Path, split: CubSplit) -> Path:
    """Where the files of this split lie; without them a `ValueError` says of which splits there are."""
    found = {kind: _place(folder, *where) for kind, where in FILES.items()}
    if found[split] is None:
        others = [kind for kind, place in found.items() if place]
        words = f" (those of cub_split {' and '.join(others)} are there)" if others else ""
        names = ", ".join(FILES[split][1])
        raise LinesError(f"{folder}: no {names}, which cub_split {split} reads{words}; expected\n{TREE.format(folder=folder)}")
    return found[split]


def _place(folder: Path, inner: str, needed: tuple[str, ...]) -> Path | None:
    return next((place for place in (folder / inner, folder) if all((place / name).exists() for name in needed)), None)


def _find(folder: Path, inner: str, needed: tuple[str, ...]) -> Path:
    place = _place(folder, inner, needed)
    if place is None:
        raise LinesError(f"{folder}: not CUB-200-2011 ({', '.join(needed)}); expected\n{TREE.format(folder=folder)}")
    return place


def _table(path: Path, problems: list[str]) -> dict[str, str]:
    """A file of lines `<id> <name>` with ids and names unique."""
    table: dict[str, str] = {}
    names: set[str] = set()
    for number, line in enumerate(text_lines(path), start=1):
        try:
            line = clean_caption(line)
        except ValueError as error:
            problems.append(f"{path}: line {number}: {error}; skipped")
            continue
        key, _, name = line.partition(" ")
        if not line:
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


def _captions(path: Path, problems: list[str]) -> list[tuple[int, str]]:
    """(line number from 0, caption) of the lines that are not blank."""
    if not path.is_file():
        problems.append(f"{path}: no captions for this image")
        return []
    try:
        lines = enumerate(map(clean_caption, split_lines(read_text(path))))
    except ValueError as error:
        problems.append(str(error))
        return []
    captions = [(number, caption) for number, caption in lines if caption]
    if not captions:
        problems.append(f"{path}: holds no caption")
    return captions
