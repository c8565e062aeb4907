"""A folder of anybody's samples -> checked images, with their captions where file names or a samples.csv tell them."""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from dalle.evaluation.picture_files import NUM_NAMED, ImageFiles

SUFFIXES = {".png", ".jpg", ".jpeg"}


@dataclass(frozen=True, kw_only=True)
class FolderSamples:
    """One image a caption, with `caption_id, caption` row by row; None where nobody knows what was asked for."""

    images: ImageFiles
    captions: pd.DataFrame | None


def read_folder(folder: Path, captions: pd.DataFrame | None) -> FolderSamples:
    """The images below `folder`, in the order of its samples.csv, or of `captions`, or of their names.

    `captions` has `caption_id, caption`, and with it the images are called <caption_id>.png, or samples.csv names the ids.
    Every image must have its caption and every caption its image; a ValueError names those that have not.
    """
    found = picture_files(folder)
    listed = _listed(folder, found)
    if listed is None and captions is None:
        return FolderSamples(images=ImageFiles(found), captions=None)
    if listed is None:
        _require_unique([file.stem for file in found], f"{folder}: image names")
        listed = pd.DataFrame({"caption_id": [file.stem for file in found], "file": found})
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
    return FolderSamples(images=ImageFiles(listed["file"].tolist()), captions=known)


def picture_files(folder: Path) -> list[Path]:
    """All PNG and JPEG files below `folder`, by name; fewer than two are a ValueError."""
    if not folder.is_dir():
        raise ValueError(f"{folder}: no such folder")
    found = sorted(path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES and path.is_file())
    if len(found) < 2:
        raise ValueError(f"{folder}: holds {len(found)} PNG or JPEG images; an evaluation needs at least 2")
    return found


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
    listed = pd.read_csv(path, dtype=str, keep_default_na=False)
    for column in ("caption_id", "file"):
        if column not in listed:
            raise ValueError(f"{path}: column {column} is missing (it has: {', '.join(listed.columns)})")
    _require_unique(listed["caption_id"], f"{path}: caption_id")
    listed["file"] = [folder / file for file in listed["file"]]
    _require_unique(listed["file"], f"{path}: file")
    problems = list(_differences(set(listed["file"]), set(found)))
    if problems:
        raise ValueError(f"{path} does not match its folder: {'; '.join(problems)}")
    return listed


def _differences(listed: set[Path], found: set[Path]) -> Iterator[str]:
    for files, words in ((listed - found, "listed and not there"), (found - listed, "there and not listed")):
        if files:
            yield f"{len(files)} {words}: {', '.join(file.name for file in sorted(files)[:NUM_NAMED])}"


def _require_unique(values: Sequence[str | Path], what: str) -> None:
    repeated = pd.Series(list(values)).duplicated()
    if repeated.any():
        raise ValueError(f"{what} {pd.Series(list(values))[repeated].iloc[0]} occurs twice; one image a caption is evaluated")
