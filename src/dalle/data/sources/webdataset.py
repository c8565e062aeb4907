"""WebDataset shards as img2dataset writes them: tar files of `<key>.jpg`, `<key>.txt`, `<key>.json`."""

import json
import os
import tarfile
from collections import Counter
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO
from urllib.parse import quote

import pandas as pd

from dalle.config import LinesError
from dalle.data.manifest import manifest_from_rows, read_manifest, write_manifest
from dalle.data.sources.problems import MAX_PROBLEM_FRACTION, Note, without_notes
from dalle.data.sources.rows import clean_caption, describe_image, is_inside
from dalle.data.sources.tar_members import Member, plain_members
from dalle.data.sources.walking import HIDDEN, Tree, is_hidden, normalized, walk
from dalle.data.text_files import decode_text, escaped, is_utf8
from dalle.processes import Processes
from dalle.progress import track

TREE = """{folder}/
  00000.tar    of <key>.jpg (or .jpeg, .png, .webp), <key>.txt (or <key>.json with "caption")
  00001.tar    ..."""
SHARD = ".tar"
COMPRESSED = (".tar.gz", ".tgz", ".tar.bz2", ".tbz2", ".tar.xz", ".txz", ".tar.zst", ".tzst", ".tar.lz4", ".tar.z")
IMAGE_EXTENSIONS = ("jpg", "jpeg", "png", "webp")
READ = (*IMAGE_EXTENSIONS, "txt", "json")
NUM_NAMED = 5
KEPT = 2  # raised where a shard that was read by earlier code has to be read again
POOL_FROM_BYTES = 2**28  # below, starting processes costs more than they save

_LEADS_OUT = "its name leads out of the folder; skipped"
_A_KEY_ENDS = "a key ends at the first dot of a file's name: write other dots as _"

Members = dict[str, tuple[int, int]]  # extension -> (offset, size) of one key


def is_shard(path: Path) -> bool:
    """Whether a file is called like a shard, a compressed one too, in capitals or not."""
    return path.name.lower().endswith((SHARD, *COMPRESSED))


def shards_below(tree: Tree) -> list[Path]:
    """Files called like shards, in capitals or not: those of the folder itself, then those of its sub-folders."""
    return [path for path in tree.files if path.suffix.lower() == SHARD]


def read_webdataset(folder: Path | str) -> tuple[pd.DataFrame, list[str]]:
    """All shards of `iterate_webdataset` in one manifest, and all problems."""
    parts = list(iterate_webdataset(folder))
    return pd.concat([manifest for manifest, _ in parts], ignore_index=True), [line for _, lines in parts for line in lines]


def iterate_webdataset(folder: Path | str, finished: Path | None = None) -> Iterator[tuple[pd.DataFrame, list[str]]]:
    """Index every `*.tar` below `folder` without unpacking: (manifest, problems) of each, one pair an image, all 'train'.

    A pair's id is `<shard's path in the folder without .tar>/<key>`. The caption is `<key>.txt`, else "caption" of
    `<key>.json`; a blank one is kept, for the filters to count. An image whose header cannot be read is kept with width =
    height = 0. Compressed shards cannot be read in place: more than one in a hundred are a `ValueError`.
    What was found in a shard is kept in the folder `finished`, if one is given, for a second attempt on the same files.
    """
    folder = Path(folder)
    tree = walk(folder)
    shards = shards_below(tree)
    left = _left(tree, len(shards))
    if not shards:
        raise LinesError(f"{folder}: no WebDataset shards; expected\n{TREE.format(folder=folder)}")
    names = [shard.with_suffix("") for shard in shards]
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"{folder}: two shards are called {twice.name}{SHARD}, in capitals or not; rename one: pairs go by it")
    large = len(shards) > 1 and sum(shard.stat().st_size for shard in shards) >= POOL_FROM_BYTES
    with Processes((os.cpu_count() or 1) if large else 1) as processes:
        indexed = processes.map(partial(_indexed, folder=folder, finished=finished), shards)
        yield from track(indexed, what=f"index {folder}", unit="shards", total=len(shards))
    if left:
        yield manifest_from_rows([]), left


def _left(tree: Tree, num_shards: int) -> list[str]:
    """What is wrong with everything that is no shard; a note counts it."""
    compressed = [path for path in tree.files if path.name.lower().endswith(COMPRESSED)]
    words = "a compressed shard, in which no pair can be found by its place: unpack it to a .tar, or take it away"
    if len(compressed) > MAX_PROBLEM_FRACTION * num_shards:
        names = ", ".join(path.name for path in compressed[:NUM_NAMED])
        total = len(compressed) + num_shards
        raise ValueError(f"{tree.folder}: {len(compressed)} of {total} shards ({names}): each is {words}")
    return [f"{path}: {words}" for path in compressed] + tree.problems() + tree.notes(set(shards_below(tree)), COMPRESSED)


def _indexed(shard: Path, folder: Path, finished: Path | None) -> tuple[pd.DataFrame, list[str]]:
    name = shard.relative_to(folder).with_suffix("").as_posix()
    if finished is None:
        return index_shard(shard, name)
    state = shard.stat()
    # one word for shards of sub-folders too; the number is of the form that is kept, and of the rules that found it
    file = finished / f"{quote(name, safe='')}-{state.st_size}-{state.st_mtime_ns}-{KEPT}.parquet"
    if file.exists():
        kept = json.loads(file.with_suffix(".json").read_text())
        return read_manifest(file), [*kept["problems"], *map(Note, kept["notes"])]
    manifest, problems = index_shard(shard, name)
    finished.mkdir(parents=True, exist_ok=True)
    kept = {"problems": without_notes(problems), "notes": [line for line in problems if isinstance(line, Note)]}
    file.with_suffix(".json").write_text(json.dumps(kept))
    write_manifest(manifest, file)  # last, and as a whole: where it is, the problems are
    return manifest, problems


def index_shard(shard: Path, name: str) -> tuple[pd.DataFrame, list[str]]:
    """The manifest of one tar file, called `name`, in the order of its keys, and what was wrong with it."""
    pairs, problems, left = _list_members(shard)
    rows: list[dict[str, Any]] = []
    if not pairs and not left:
        return manifest_from_rows(rows), problems
    with open(shard, "rb") as file:
        for key, members in pairs.items():
            try:
                used = _read_pair(shard, file, f"{name}/{key}", members)
            except ValueError as error:
                problems.append(f"{shard}: key {_quoted(key)}: {error}")
                continue
            rows.append(used)
            left.update(f".{extension}" for extension in members if extension not in READ)
    if left:
        kinds = ", ".join(f"{kind} ({number})" for kind, number in sorted(left.items()))
        problems.append(Note(f"{shard}: files that are not read: {kinds}"))
    return manifest_from_rows(rows), problems


def _list_members(shard: Path) -> tuple[dict[str, Members], list[str], Counter[str]]:
    """Where each key's files lie in the tar, from its headers alone; what is wrong; and how many hidden files there are."""
    pairs: dict[str, Members] = {}
    problems: list[str] = []
    left: Counter[str] = Counter()

    def add(name: str, problem: str) -> None:
        if problem == HIDDEN:
            left[HIDDEN] += 1
        elif problem:
            problems.append(f"{shard}: member {_quoted(name)}: {problem}")

    try:
        plain = plain_members(shard)
        if plain is not None:
            for member in plain:
                add(member.name, _add_member(pairs, member))
            return pairs, problems, left
        total = shard.stat().st_size
        with tarfile.open(shard, "r:", encoding="utf-8", errors="surrogateescape") as tar:
            for member in tar:
                add(member.name, _add_any_member(pairs, member, total))
            problems += _check_end(shard, tar.offset)
    except (tarfile.TarError, OSError, EOFError) as error:
        problems.append(f"{shard}: not a whole tar file, read up to where it breaks: {error}")
    return _without_twins(pairs), problems, left


def _quoted(name: str) -> str:
    return repr(name) if is_utf8(name) else f"'{escaped(name)}'"


def _without_twins(pairs: dict[str, Members]) -> dict[str, Members]:
    """Keys that differ in how accents are spelt alone, as those of a picture and its caption may, as the first of them."""
    first: dict[str, str] = {}
    joined: dict[str, Members] = {}
    for key, members in pairs.items():
        kept = joined.setdefault(first.setdefault(normalized(key), key), {})
        if members.keys() & kept.keys():  # two pairs, called alike: both stay
            joined[key] = members
        else:
            kept.update(members)
    return joined


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
    if is_hidden(name) or any(map(is_hidden, folder.split("/"))):
        return HIDDEN
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


def _read_pair(shard: Path, file: BinaryIO, pair_id: str, members: Members) -> dict[str, Any]:
    if not is_utf8(pair_id):
        raise ValueError("its name is not UTF-8, so it must be renamed; its pair is skipped")
    extension = next((name for name in IMAGE_EXTENSIONS if name in members), None)
    if extension is None:
        dots = f"; {_A_KEY_ENDS}" if any("." in name for name in members) else ""
        raise ValueError(f"no image ({', '.join(IMAGE_EXTENSIONS)}) among {ascii(sorted(members))}{dots}")
    caption = _read_caption(file, members)
    offset, size = members[extension]
    image = describe_image(_read(file, offset, size), shard, offset)
    return {"pair_id": pair_id, "image_id": pair_id, "caption": caption, **image, "split": "train"}


def _read_caption(file: BinaryIO, members: Members) -> str:
    if "txt" in members:
        try:
            return clean_caption(decode_text(_read(file, *members["txt"])))
        except ValueError as error:
            raise ValueError(f"its .txt cannot be read: {error}") from None
    if "json" not in members:
        dots = f"; {_A_KEY_ENDS}" if any("." in name for name in members) else ""
        raise ValueError(f"no caption: neither .txt nor .json{dots}")
    try:
        caption = json.loads(decode_text(_read(file, *members["json"])))["caption"]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise ValueError(f"no caption: no .txt, and its .json cannot be read: {error!r}") from None
    if not isinstance(caption, str):
        raise ValueError(f"no caption: no .txt, and the caption of its .json is {caption!r}")
    try:
        return clean_caption(caption)
    except ValueError as error:
        raise ValueError(f"the caption of its .json {error}") from None


def _read(file: BinaryIO, offset: int, size: int) -> bytes:
    file.seek(offset)
    return file.read(size)
