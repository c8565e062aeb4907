"""Which images of CUB are for training and which for the test: the three splits that the literature uses."""

import difflib
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from dalle.data.sources.filename_pickle import read_filename_pickle
from dalle.data.text_files import escaped, text_lines

CubSplit = Literal["testclasses", "filenames", "train_test_split"]
Names = Mapping[str, str]  # image id -> <class>/<name>.jpg
NUM_NAMED = 5


# by split: the folder where its files usually lie, and their names
FILES: Mapping[CubSplit, tuple[str, tuple[str, ...]]] = {
    "testclasses": ("cvpr2016_cub", ("testclasses.txt",)),
    "filenames": (".", ("train/filenames.pickle", "test/filenames.pickle")),
    "train_test_split": ("CUB_200_2011", ("train_test_split.txt",)),
}


def cub_splits(split: CubSplit, folder: Path, names: Names, classes: set[str], problems: list[str]) -> dict[str, str]:
    """'train' or 'test' by image id, from the files in `folder`; an image that they leave out is a problem and has none."""
    read = {"testclasses": _by_class, "filenames": _by_name, "train_test_split": _by_image}[split]
    splits = read(folder, names, classes, problems)
    if "test" not in splits.values():
        raise ValueError(f"{folder}: cub_split {split} gives the test split none of {len(names)} images")
    return splits


def _by_class(folder: Path, names: Names, classes: set[str], problems: list[str]) -> dict[str, str]:
    """Reed et al.: 150 classes to train on, 50 others to test."""
    path = folder / "testclasses.txt"
    listed = {line.strip() for line in text_lines(path)} - {""}
    if not listed:
        raise ValueError(f"{path}: names none of the {len(classes)} classes, so there is no test split")
    _require_known(listed, classes, path)
    return {image_id: "test" if name.split("/")[0] in listed else "train" for image_id, name in names.items()}


def _require_known(listed: set[str], classes: set[str], path: Path) -> None:
    """A class that is called otherwise in a split would be trained on and evaluated as the other half: a `ValueError`."""
    unknown = sorted(listed - classes)
    if unknown:
        words = f"{len(unknown)} of {len(listed)} classes are not in classes.txt: {', '.join(map(ascii, unknown[:NUM_NAMED]))}"
        close = difflib.get_close_matches(unknown[0], classes, n=1)
        hint = f" (is it {close[0]}?)" if close else ""
        raise ValueError(f"{path}: {words}{hint}; correct the names, or a class would be in the wrong split")


def _by_name(folder: Path, names: Names, classes: set[str], problems: list[str]) -> dict[str, str]:
    """AttnGAN: the same classes, as lists of `<class>/<name>` without .jpg."""
    paths = {split: folder / split / "filenames.pickle" for split in ("train", "test")}
    listed = {split: read_filename_pickle(path) for split, path in paths.items()}
    for split, found in listed.items():
        _require_known({name.partition("/")[0] for name in found}, classes, paths[split])
    keys = {name.rpartition(".")[0] for name in names.values()}
    known: dict[str, str] = {}
    for split, found in listed.items():
        for key in found:
            if key not in keys:
                problems.append(f"{paths[split]}: {key!r} is not an image of images.txt")
            elif key in known:
                problems.append(f"{paths[split]}: {key!r} is listed twice; it stays in {known[key]}")
            else:
                known[key] = split
    splits = {image_id: known.get(name.rpartition(".")[0]) for image_id, name in names.items()}
    problems += [f"{folder}: no filenames.pickle names {names[image_id]}" for image_id, split in splits.items() if not split]
    return {image_id: split for image_id, split in splits.items() if split}


def _by_image(folder: Path, names: Names, classes: set[str], problems: list[str]) -> dict[str, str]:
    """The original's own, within classes: a line `<image id> <1 to train on, 0 to test>`."""
    path = folder / "train_test_split.txt"
    splits: dict[str, str] = {}
    for number, line in enumerate(text_lines(path), start=1):
        words = line.split()
        if not words:
            continue
        if len(words) != 2 or words[0] not in names or words[0] in splits or words[1] not in ("0", "1"):
            problems.append(f"{path}: line {number}: not the id of an image, each once, and 0 or 1: {escaped(line)!r}")
        else:
            splits[words[0]] = "train" if words[1] == "1" else "test"
    problems += [f"{path}: has no line for image {image_id} ({names[image_id]})" for image_id in names.keys() - splits.keys()]
    return splits
