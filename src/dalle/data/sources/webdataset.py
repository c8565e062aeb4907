"""WebDataset shards as img2dataset writes them: tar files of `<key>.jpg`, `<key>.txt`, `<key>.json`."""

import json
import os
import tarfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO

import pandas as pd

from dalle.data.manifest import manifest_from_rows, read_manifest, write_manifest
from dalle.processes import Processes
from dalle.data.sources.rows import clean_caption, decode_caption, describe_image, is_inside
from dalle.data.sources.tar_members import Member, plain_members
from dalle.progress import track

TREE = """{folder}/
  00000.tar    of <key>.jpg (or .jpeg, .png, .webp), <key>.txt (or <key>.json with "caption")
  00001.tar    ..."""
IMAGE_EXTENSIONS = ("jpg", "jpeg", "png", "webp")
POOL_FROM_BYTES = 2**28  # below, starting processes costs more than they save

_LEADS_OUT = "its name leads out of the folder; skipped"

Members = dict[str, tuple[int, int]]  # extension -> (offset, size) of one key


def read_webdataset(folder: Path | str) -> tuple[pd.DataFrame, list[str]]:
    """All shards of `iterate_webdataset` in one manifest, and all problems."""
    parts = list(iterate_webdataset(folder))
    return pd.concat([manifest for manifest, _ in parts], ignore_index=True), [line for _, lines in parts for line in lines]


def iterate_webdataset(folder: Path | str, finished: Path | None = None) -> Iterator[tuple[pd.DataFrame, list[str]]]:
    """Index every `*.tar` of `folder` without unpacking: (manifest, problems) of each, one pair an image, all 'train'.

    A pair's id is `<shard's stem>/<key>`. The caption is `<key>.txt`, else "caption" of `<key>.json`; a blank one is kept,
    for the filters to count. An image whose header cannot be read is kept with width = height = 0.
    What was found in a shard is kept in the folder `finished`, if one is given, for a second attempt on the same files.
    """
    folder = Path(folder)
    shards = sorted(folder.glob("*.tar"))
    if not shards:
        raise ValueError(f"{folder}: no WebDataset shards; expected\n{TREE.format(folder=folder)}")
    large = len(shards) > 1 and sum(shard.stat().st_size for shard in shards) >= POOL_FROM_BYTES
    with Processes((os.cpu_count() or 1) if large else 1) as processes:
        indexed = processes.map(partial(_indexed, finished=finished), shards)
        yield from track(indexed, what=f"index {folder}", unit="shards", total=len(shards))


def _indexed(shard: Path, finished: Path | None) -> tuple[pd.DataFrame, list[str]]:
    if finished is None:
        return index_shard(shard)
    state = shard.stat()
    file = finished / f"{shard.stem}-{state.st_size}-{state.st_mtime_ns}.parquet"
    if file.exists():
        return read_manifest(file), json.loads(file.with_suffix(".json").read_text())
    manifest, problems = index_shard(shard)
    finished.mkdir(parents=True, exist_ok=True)
    file.with_suffix(".json").write_text(json.dumps(problems))
    write_manifest(manifest, file)  # last, and as a whole: where it is, the problems are
    return manifest, problems


def index_shard(shard: Path) -> tuple[pd.DataFrame, list[str]]:
    """The manifest of one tar file, in the order of its keys, and what was wrong with it."""
    pairs, problems = _list_members(shard)
    rows: list[dict[str, Any]] = []
    if not pairs:
        return manifest_from_rows(rows), problems
    with open(shard, "rb") as file:
        for key, members in pairs.items():
            try:
                rows.append(_read_pair(shard, file, key, members))
            except ValueError as error:
                problems.append(f"{shard}: key {key!r}: {error}")
    return manifest_from_rows(rows), problems


def _list_members(shard: Path) -> tuple[dict[str, Members], list[str]]:
    """Where each key's files lie in the tar, from its headers alone."""
    pairs: dict[str, Members] = {}
    plain = plain_members(shard)
    if plain is not None:
        problems = [(member.name, _add_member(pairs, member)) for member in plain]
        return pairs, [f"{shard}: member {name!r}: {problem}" for name, problem in problems if problem]
    problems = []
    total = shard.stat().st_size
    try:
        with tarfile.open(shard, "r:") as tar:
            for member in tar:
                problem = _add_any_member(pairs, member, total)
                if problem:
                    problems.append(f"{shard}: member {member.name!r}: {problem}")
            problems += _check_end(shard, tar.offset)
    except (tarfile.TarError, OSError, EOFError) as error:
        problems.append(f"{shard}: not a whole tar file, read up to where it breaks: {error}")
    return pairs, problems


def _add_any_member(pairs: dict[str, Members], member: tarfile.TarInfo, total: int) -> str:
    """File the member under its key; returns what is wrong with it, '' if nothing."""
    if member.isdir():
        return ""
    if not is_inside(member.name):
        return _LEADS_OUT
    if not member.isreg():
        return "a link or device, not a file; skipped"
    if member.offset_data + member.size > total:
        return "cut off by the end of the tar file; skipped"
    return _add_member(pairs, Member(member.name, member.offset_data, member.size))


def _add_member(pairs: dict[str, Members], member: Member) -> str:
    if not is_inside(member.name):
        return _LEADS_OUT
    # as pathlib does it: three names a pair are many
    folder, _, name = "/".join(part for part in member.name.split("/") if part not in ("", ".")).rpartition("/")
    stem, _, extension = name.partition(".")
    members = pairs.setdefault(f"{folder}/{stem}" if folder else stem, {})
    if extension.lower() in members:
        return "its name occurs twice; the first is used"
    members[extension.lower()] = (member.offset, member.size)
    return ""


def _check_end(shard: Path, end: int) -> list[str]:
    """`tarfile` takes a damaged header or a cut between two members for the end, but a true end is a block of zeros."""
    with open(shard, "rb") as file:
        file.seek(end)
        block = file.read(tarfile.BLOCKSIZE)
    if not block:
        return [f"{shard}: stops without the mark of a tar file's end; pairs may be missing"]
    return [f"{shard}: damaged header at byte {end}; whatever follows it is lost"] if block.strip(b"\0") else []


def _read_pair(shard: Path, file: BinaryIO, key: str, members: Members) -> dict[str, Any]:
    extension = next((name for name in IMAGE_EXTENSIONS if name in members), None)
    if extension is None:
        raise ValueError(f"no image ({', '.join(IMAGE_EXTENSIONS)}) among {sorted(members)}")
    caption = _read_caption(file, members)
    offset, size = members[extension]
    image = describe_image(_read(file, offset, size), shard, offset)
    pair_id = f"{shard.stem}/{key}"
    return {"pair_id": pair_id, "image_id": pair_id, "caption": caption, **image, "split": "train"}


def _read_caption(file: BinaryIO, members: Members) -> str:
    if "txt" in members:
        return decode_caption(_read(file, *members["txt"]))
    if "json" not in members:
        raise ValueError("no caption: neither .txt nor .json")
    try:
        caption = json.loads(_read(file, *members["json"]))["caption"]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise ValueError(f"no caption: no .txt, and its .json cannot be read: {error!r}") from None
    if not isinstance(caption, str):
        raise ValueError(f"no caption: no .txt, and the caption of its .json is {caption!r}")
    return clean_caption(caption)


def _read(file: BinaryIO, offset: int, size: int) -> bytes:
    file.seek(offset)
    return file.read(size)
