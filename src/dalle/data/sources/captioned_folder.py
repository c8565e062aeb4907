"""A folder of pictures with their captions, the layout that anyone's own pictures can be brought in."""

from collections.abc import Callable
from pathlib import Path

import pandas as pd

from dalle.data.manifest import manifest_from_rows
from dalle.data.sources.caption_lists import TEXT, Entry, lists_in, read_captions
from dalle.data.sources.rows import ANY_PICTURE, OTHER_PICTURES, describe_files, is_picture
from dalle.data.sources.walking import Tree, walk

TREE = """{folder}/
  captions.jsonl    a line a caption: {{"file": "cats/1.jpg", "caption": "a cat on a mat", "split": "train"}}
                    or captions.csv with the columns file, caption; "split" (train, val or test) may be left out
  cats/1.jpg ...    pictures, also in sub-folders
or
{folder}/
  cats/1.jpg        .jpg, .jpeg, .png or .webp
  cats/1.txt ...    the captions of 1.jpg, one a line"""


def is_captioned_folder(folder: Path) -> bool:
    return bool(lists_in(folder))


def read_captioned_folder(folder: Path | str, split_of: Callable[[str], str]) -> tuple[pd.DataFrame, list[str]]:
    """(manifest, problems), a pair a caption; an image's id is its path.

    Where no entry says an image's split, `split_of` tells it by the checksum of its bytes: copies of a file are of one split.
    A picture may have many captions. Entries that cannot be used, name a file outside the folder or one that is no image,
    say the same twice or contradict each other, and pictures without a caption are problems. Every other entry below the
    folder is one as well, or counted by reason in a `Note`: hidden files, files of other kinds.
    """
    folder = Path(folder)
    problems: list[str] = []
    tree = walk(folder)
    source = read_captions(tree, problems)
    entries = _without_contradictions(source.entries, problems)
    images = _described(folder, entries, problems)
    beside = any(path.suffix.lower() == TEXT for path in source.files)
    problems += _left(tree, {folder / entry.file for entry in source.entries}, beside)
    problems += tree.notes({folder / file for file in images} | source.files, (*ANY_PICTURE, TEXT) if beside else ANY_PICTURE)
    splits = {entry.file: entry.split for entry in entries if entry.split}
    splits |= {file: split_of(str(image["crc32"])) for file, image in images.items() if file not in splits}
    return manifest_from_rows(
        {"pair_id": entry.pair_id, "image_id": entry.file, "caption": entry.caption, **images[entry.file]}
        | {"split": splits[entry.file]}
        for entry in entries
        if entry.file in images
    ), problems


def _left(tree: Tree, named: set[Path], beside: bool) -> list[str]:
    """A line for every picture without a caption, unless text files lie `beside`, and for what could not be looked into."""
    silent = [] if beside else [path for path in tree.files if is_picture(path) and path not in named]
    others = [path for path in tree.files if path.suffix.lower() in OTHER_PICTURES and path not in named]
    kinds = "a picture of a kind that only a list can name; save it as .jpg, .png or .webp, or use a list"
    return [f"{path}: has no caption" for path in silent] + [f"{path}: {kinds}" for path in others] + tree.problems()


def _without_contradictions(entries: list[Entry], problems: list[str]) -> list[Entry]:
    """Entries that are not there twice; of two splits of an image the first counts."""
    first: dict[tuple[str, str], Entry] = {}
    splits: dict[str, Entry] = {}
    for entry in entries:
        stated = splits.setdefault(entry.file, entry) if entry.split else entry
        if (entry.file, entry.caption) in first:
            earlier = first[entry.file, entry.caption].place
            problems.append(f"{entry.place}: {entry.file} has this caption already ({earlier}); skipped")
        elif entry.split and entry.split != stated.split:
            problems.append(f"{entry.place}: {entry.file} is of split {stated.split} already ({stated.place}); skipped")
        else:
            first[entry.file, entry.caption] = entry
    return list(first.values())


def _described(folder: Path, entries: list[Entry], problems: list[str]) -> dict[str, dict]:
    """What the manifest says about each picture that can be read, by its path in the folder."""
    places = {}
    for entry in entries:
        places.setdefault(entry.file, entry.place)
    described = describe_files([folder / file for file in places])
    images = dict(zip(places, described, strict=True))
    problems += [f"{places[file]}: {image}" for file, image in images.items() if isinstance(image, str)]
    return {file: image for file, image in images.items() if not isinstance(image, str)}
