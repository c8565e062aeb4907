"""A folder of anybody's samples -> checked images, with their captions where file names or a samples.csv tell them."""

import hashlib
import re
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from dalle.data.sources.problems import MAX_PROBLEM_FRACTION
from dalle.data.sources.walking import HIDDEN, READ_ALREADY, Tree, normalized, walk
from dalle.data.text_files import escaped, table_rows
from dalle.evaluation.picture_files import NUM_NAMED, ImageFiles

LISTS = ("samples.csv", "ranking.csv")
SUFFIXES = {".png", ".jpg", ".jpeg", ".webp"}
OTHER_PICTURES = {
    ".avif", ".bmp", ".gif", ".heic", ".jfif", ".jp2", ".jpe", ".jxl", ".pgm", ".ppm", ".tga", ".tif", ".tiff",
}  # fmt: skip
OTHER_FORMAT = "a picture in a format that is not read (.png, .jpg, .jpeg and .webp are): convert it, and say how"
# what follows an image's key: AttnGAN KEY_s-1.png, DM-GAN KEY_s-1_3.png (round 3), DF-GAN KEY_s16.png.png or KEY_  0.png
STAMP = re.compile(r"(_s-?\d[\d_.-]*|_ +\d+)$")


@dataclass(frozen=True, kw_only=True)
class FolderSamples:
    """One image a caption, with `caption_id, caption` row by row; None where nobody knows what was asked for."""

    images: ImageFiles
    captions: pd.DataFrame | None


def read_folder(folder: Path, captions: pd.DataFrame | None, size: int | None = None) -> FolderSamples:
    """The images below `folder`, in the order of its samples.csv, or of `captions`, or of their names.

    `captions` has `caption_id, caption`, and with it the images are called <caption_id>.png, or samples.csv names the ids.
    Every image must have its caption and every caption its image; a ValueError names those that have not. With `size` the
    images are reduced to it (see `ImageFiles`).
    """
    found = picture_files(folder)
    listed = _listed(folder, found)
    if listed is None and captions is None:
        return FolderSamples(images=ImageFiles(found, size), captions=None)
    if listed is None:
        _require_unique([file.stem for file in found], f"{folder}: image names")
        known = {normalized(caption_id): caption_id for caption_id in captions["caption_id"]}
        ids = [known.get(normalized(file.stem), file.stem) for file in found]
        listed = pd.DataFrame({"caption_id": ids, "file": found})
    if captions is not None:
        _require_unique(captions["caption_id"], "captions: caption_id")
        differing = set(listed["caption_id"]) ^ set(captions["caption_id"])
        if differing:
            named = ", ".join(sorted(differing)[:NUM_NAMED])
            raise ValueError(
                f"{folder}: {len(set(listed['caption_id']) - set(captions['caption_id']))} images have no caption and "
                f"{len(set(captions['caption_id']) - set(listed['caption_id']))} captions no image: {named}"
            )
        listed = captions[["caption_id", "caption"]].merge(listed[["caption_id", "file"]], on="caption_id")
    known = listed[["caption_id", "caption"]] if "caption" in listed else None
    return FolderSamples(images=ImageFiles(listed["file"].tolist(), size), captions=known)


def read_folder_by_image(folder: Path, keys: Collection[str], size: int | None = None) -> FolderSamples:
    """Images of which no more is known than the evaluation image whose caption was drawn; which of its captions, nobody knows.

    A samples.csv with `file, image_id` chooses images; without one all below `folder` count, and are called as the GANs' own
    code does (`STAMP`), in folders of any depth. An image may have several. `keys` (see `image_keys`) are what evaluation
    images are called; a ValueError names the files that are called otherwise.
    """
    found, path = picture_files(folder), folder / "samples.csv"
    if path.is_file():
        listed = _read_listing(path, "image_id")
        absent = sorted(set(listed["file"]) - set(found))
        told = {file: (image_id,) for file, image_id in zip(listed["file"], listed["image_id"], strict=True)}
    else:
        absent, told = [], {file: _names(file.relative_to(folder)) for file in found}
    known = set(map(normalized, keys))
    unknown = [file for file, names in told.items() if not any(normalized(name) in known for name in names)]
    problems = [
        f"{len(files)} {words}: {', '.join(map(str, files[:NUM_NAMED]))}"
        for files, words in ((absent, "listed and not there"), (unknown, "of no evaluation image"))
        if files
    ]
    if problems:
        raise ValueError(
            f"{folder}: {'; '.join(problems)}; a file is called as the evaluation image's is, with or without the stamp of the "
            "GANs' code, such as COCO_val2014_000000203564_s-1.png (a name that two images share tells neither)"
        )
    return FolderSamples(images=ImageFiles(list(told), size), captions=None)


def image_keys(pairs: pd.DataFrame) -> set[str]:
    """What each image of a manifest's rows may be called: its id, its file's stem, or that behind its folder's name.

    What two images could be called names neither.
    """
    images = pairs.drop_duplicates("image_id")
    owners: dict[str, set[str]] = {}
    for image_id, file, offset in zip(images["image_id"], map(Path, images["file"]), images["offset"], strict=True):
        names = {image_id} if offset else {image_id, file.stem, f"{file.parent.name}/{file.stem}"}  # behind: in an archive
        for name in names:
            owners.setdefault(name, set()).add(image_id)
    return {name for name, of in owners.items() if len(of) == 1}


def picture_files(folder: Path) -> list[Path]:
    """All PNG, JPEG and WebP files below `folder` and behind links, by name; fewer than two are a ValueError.

    So is a folder of which more than a hundredth falls away: pictures in other formats, names that are not UTF-8, links that
    lead nowhere, folders that cannot be listed.
    """
    if not folder.is_dir():
        raise ValueError(f"{folder}: no such folder")
    tree = walk(folder)
    found, lost = sorted(filter(_is_picture, tree.files)), _lost(tree)
    if len(lost) > MAX_PROBLEM_FRACTION * (len(found) + len(lost)):
        named = "; ".join(f"{escaped(path)}: {reason}" for path, reason in list(lost.items())[:NUM_NAMED])
        more = f"; and {len(lost) - NUM_NAMED} more" if len(lost) > NUM_NAMED else ""
        raise ValueError(
            f"{folder}: {len(lost)} entries cannot be used beside {len(found)} pictures, more than {MAX_PROBLEM_FRACTION:.0%}: "
            f"{named}{more}; mend or remove them"
        )
    if len(found) < 2:
        raise ValueError(f"{folder}: holds {len(found)} PNG, JPEG or WebP images; an evaluation needs at least 2")
    return found


def folder_words(folder: Path, used: Collection[Path]) -> list[str]:
    """How many entries there are below `folder`, how many are `used`, how many are left by reason; then those that are lost."""
    tree, used = walk(folder), set(used)
    reasons = Counter(tree.left.values())
    for path in tree.files:
        if path.parent == folder and path.name in LISTS:
            reasons["a list"] += 1
        elif path not in used:
            reasons[_why_unused(path)] += 1
    left = "; ".join(f"{reason} ({number})" for reason, number in sorted(reasons.items()))
    counts = f"{folder}: {len(tree.files) + len(tree.left)} entries, {len(used)} used"
    return [counts + (f"; left: {left}" if left else ""), *(f"{escaped(path)}: {why}" for path, why in _lost(tree).items())]


def folder_digest(folder: Path) -> str:
    """SHA-256 over the names and bytes of the images below `folder` and of its samples.csv."""
    digest = hashlib.sha256()
    listing = folder / "samples.csv"
    for path in [*picture_files(folder), *([listing] if listing.is_file() else [])]:
        digest.update(f"{path.relative_to(folder).as_posix()}\0{path.stat().st_size}\0".encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()


def _listed(folder: Path, found: Sequence[Path]) -> pd.DataFrame | None:
    """`caption_id, file` and perhaps `caption` of the folder's samples.csv, None without one."""
    path = folder / "samples.csv"
    if not path.is_file():
        return None
    listed = _read_listing(path, "caption_id")
    _require_unique(listed["caption_id"], f"{path}: caption_id")
    problems = list(_differences(set(listed["file"]), set(found)))
    if problems:
        raise ValueError(f"{path} does not match its folder: {'; '.join(problems)}")
    return listed


def _read_listing(path: Path, column: str) -> pd.DataFrame:
    """A samples.csv with `file`, once each and below its folder, and `column`; as any spreadsheet saves it."""
    listed = read_table(path, (column, "file"))
    there = walk(path.parent).on_disk(listed["file"].tolist())
    listed["file"] = [path.parent / there[file] for file in listed["file"]]
    _require_unique(listed["file"], f"{path}: file")
    return listed


def read_table(path: Path, columns: Sequence[str]) -> pd.DataFrame:
    """A CSV of text with at least the `columns`, as any spreadsheet saves it; what cannot be read is a ValueError naming it."""
    problems: list[str] = []
    table = pd.DataFrame([cells for _, cells in table_rows(path, (), problems)], dtype=str)
    if problems:
        raise ValueError("; ".join(problems[:NUM_NAMED]))
    for name in columns:
        if name not in table:
            hint = "; image ids alone are match: image_id" if name == "caption_id" and "image_id" in table else ""
            raise ValueError(f"{path}: column {name} is missing (it has: {', '.join(table.columns)}){hint}")
    return table


def _is_picture(path: Path) -> bool:
    return path.suffix.lower() in SUFFIXES


def _lost(tree: Tree) -> dict[Path, str]:
    """By path why an entry that may be somebody's picture is not read."""
    lost = {path: reason for path, reason in tree.left.items() if reason not in (HIDDEN, READ_ALREADY)}
    return lost | {path: OTHER_FORMAT for path in tree.files if path.suffix.lower() in OTHER_PICTURES}


def _why_unused(path: Path) -> str:
    suffix = path.suffix.lower()
    if suffix in OTHER_PICTURES:
        return OTHER_FORMAT
    return "not listed in samples.csv" if suffix in SUFFIXES else f"no picture: {escaped(suffix) or 'no extension'}"


def _names(file: Path) -> tuple[str, ...]:
    """What a picture's path may say of its image: "a/b/KEY_s-1.png" -> KEY, b/KEY, a/b/KEY, and all three with the stamp."""
    bare = file.name
    while Path(bare).suffix.lower() in SUFFIXES:
        bare = Path(bare).stem
    parents = file.parent.parts
    folders = ["/".join(parents[start:]) for start in range(len(parents) + 1)]
    return tuple(f"{folder}/{name}".lstrip("/") for name in {bare, STAMP.sub("", bare)} for folder in folders)


def _differences(listed: set[Path], found: set[Path]) -> Iterator[str]:
    for files, words in ((listed - found, "listed and not there"), (found - listed, "there and not listed")):
        if files:
            yield f"{len(files)} {words}: {', '.join(file.name for file in sorted(files)[:NUM_NAMED])}"


def _require_unique(values: Sequence[str | Path], what: str) -> None:
    repeated = pd.Series(list(values)).duplicated()
    if repeated.any():
        raise ValueError(f"{what} {pd.Series(list(values))[repeated].iloc[0]} occurs twice; one image a caption is evaluated")
