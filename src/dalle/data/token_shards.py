"""Image tokens written shard by shard, so that no more than one is in memory and who is stopped goes on with the next.

A finished shard is its two files (see `dalle.data.token_store`) and shard-0000i.json with their checksums, which comes last.
"""

import json
import os
import shutil
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from dalle.data.token_store import CHUNK_BYTES, PAIRS_SCHEMA, SHARD_FILES, crc32_of

_RECORD = "shard-{:05}.json"


@dataclass(frozen=True, kw_only=True)
class Shards:
    """What a folder of finished shards holds: `code_counts` (K,) over all of them, and how many pairs were encoded just now."""

    num_shards: int
    num_pairs: int
    num_encoded: int
    code_counts: np.ndarray


def write_shards(
    parts: Iterable[pd.DataFrame],
    folder: Path,
    encode: Callable[[pd.DataFrame], np.ndarray],
    *,
    pairs_per_shard: int,
    codebook_size: int,
    grid_size: int,
) -> Shards:
    """Encode the pairs of all `parts` of a manifest to shards in `folder`; those that are finished there are kept.

    The folder belongs to one manifest and one `encode`, which makes image tokens (n, V, G*G) of n pairs.
    """
    num_shards, num_pairs, num_encoded, counts = 0, 0, 0, np.zeros(codebook_size, dtype=np.int64)
    for pairs in in_shards(parts, pairs_per_shard):
        image_tokens = finished_shard(folder, num_shards)
        if image_tokens is None:
            image_tokens, num_encoded = encode(pairs), num_encoded + len(pairs)
            write_shard(folder, num_shards, image_tokens, pairs, codebook_size=codebook_size, grid_size=grid_size)
        counts += count_codes(image_tokens, codebook_size)
        num_shards, num_pairs = num_shards + 1, num_pairs + len(pairs)
    return Shards(num_shards=num_shards, num_pairs=num_pairs, num_encoded=num_encoded, code_counts=counts)


def in_shards(parts: Iterable[pd.DataFrame], pairs_per_shard: int) -> Iterator[pd.DataFrame]:
    """The rows of all `parts` in order, `pairs_per_shard` at a time; the last shard has what is left."""
    rest: list[pd.DataFrame] = []
    for part in parts:
        rows = pd.concat([*rest, part], ignore_index=True)
        whole = len(rows) - len(rows) % pairs_per_shard
        for start in range(0, whole, pairs_per_shard):
            yield rows.iloc[start : start + pairs_per_shard]
        rest = [rows.iloc[whole:]]
    if any(map(len, rest)):
        yield from rest


def write_shard(
    folder: Path, number: int, image_tokens: np.ndarray, pairs: pd.DataFrame, *, codebook_size: int, grid_size: int
) -> None:
    """Write uint16 (P, V, G*G) tokens and `pairs` with `pair_id, image_id, caption, split`; equal input gives equal bytes."""
    _check_tokens(image_tokens, pairs, codebook_size, grid_size)
    folder.mkdir(parents=True, exist_ok=True)
    tokens_file, pairs_file = (folder / name.format(number) for name in SHARD_FILES)
    with open(_partial(tokens_file), "wb") as file:
        np.save(file, image_tokens)
    table = pa.Table.from_pandas(pairs[PAIRS_SCHEMA.names], schema=PAIRS_SCHEMA, preserve_index=False)
    pq.write_table(table.replace_schema_metadata(None), _partial(pairs_file), compression="zstd")
    for path in (tokens_file, pairs_file):
        os.replace(_partial(path), path)
    checksums = [crc32_of(path) for path in (tokens_file, pairs_file)]
    _write_json(folder / _RECORD.format(number), {"num_pairs": len(pairs), "crc32": checksums})


def finished_shard(folder: Path, number: int) -> np.ndarray | None:
    """The tokens of a shard that `write_shard` wrote to `folder`, memory-mapped; None where it is not there whole."""
    tokens_file, pairs_file = (folder / name.format(number) for name in SHARD_FILES)
    try:
        checksums = json.loads((folder / _RECORD.format(number)).read_text())["crc32"]
        if checksums != [crc32_of(tokens_file), crc32_of(pairs_file)]:
            return None
    except (OSError, ValueError):
        return None
    return np.load(tokens_file, mmap_mode="r")


def join_shards(
    shards: Path, num_shards: int, folder: Path, *, views: int, codebook_size: int, grid_size: int, dvae_sha256: str
) -> None:
    """Make the finished shards 0, 1, ... in the folder `shards` a store in `folder`, which holds nothing yet.

    Where both are on one disk the files are linked, not copied. Until the last file, store.json, is in place the folder is no
    store that opens.
    """
    if not num_shards:
        raise ValueError("there are no pairs to store the tokens of")
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(num_shards):
        for name in SHARD_FILES:
            _link(shards / name.format(number), folder / name.format(number))
    sizes = {"views": views, "codebook_size": codebook_size, "grid_size": grid_size}
    records = [json.loads((shards / _RECORD.format(number)).read_text()) for number in range(num_shards)]
    _write_json(folder / "store.json", {**sizes, "dvae_sha256": dvae_sha256, "shards": records})


def count_codes(image_tokens: np.ndarray, codebook_size: int) -> np.ndarray:
    """How often each code occurs among tokens (P, ...): int64 (K,)."""
    counts = np.zeros(codebook_size, dtype=np.int64)
    for rows in _blocks(image_tokens):
        counts += np.bincount(image_tokens[rows].ravel(), minlength=codebook_size)
    return counts


def _check_tokens(image_tokens: np.ndarray, pairs: pd.DataFrame, codebook_size: int, grid_size: int) -> None:
    if image_tokens.dtype != np.uint16 or image_tokens.ndim != 3 or image_tokens.shape[2] != grid_size**2:
        found = f"{image_tokens.dtype} {image_tokens.shape}"
        raise ValueError(f"image_tokens must be uint16 (num_pairs, views, {grid_size**2}), grid_size squared last, got {found}")
    if len(pairs) != len(image_tokens) or not len(pairs):
        raise ValueError(f"image_tokens and pairs must have as many rows, one at least: {len(image_tokens)} and {len(pairs)}")
    missing = [name for name in PAIRS_SCHEMA.names if name not in pairs.columns]
    if missing:
        raise ValueError(f"pairs must have the columns {PAIRS_SCHEMA.names}, missing {missing}")
    for rows in _blocks(image_tokens):
        highest = int(image_tokens[rows].max())
        if highest >= codebook_size:
            where = f"found {highest} from row {rows.start} on"
            raise ValueError(f"image_tokens must be below codebook_size {codebook_size}, {where}")


def _blocks(image_tokens: np.ndarray) -> Iterator[slice]:
    rows = max(1, CHUNK_BYTES // image_tokens[0].nbytes)
    for start in range(0, len(image_tokens), rows):
        yield slice(start, start + rows)


def _write_json(path: Path, content: dict[str, Any]) -> None:
    _partial(path).write_text(json.dumps(content, indent=2) + "\n")
    os.replace(_partial(path), path)


def _link(source: Path, target: Path) -> None:
    try:
        os.link(source, target)
    except OSError:  # another disk, or one without links
        shutil.copyfile(source, target)


def _partial(path: Path) -> Path:
    return path.with_name(path.name + ".partial")
