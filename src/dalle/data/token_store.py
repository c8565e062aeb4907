"""The token store: every pair's image tokens in memory-mapped shards, with the captions beside them.

Shard i is image_tokens-0000i.npy and pairs-0000i.parquet. store.json counts the shards, with the checksums of each.
"""

import json
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from dalle.data.sharded_tokens import ShardedTokens

PAIRS_SCHEMA = pa.schema([(name, pa.string()) for name in ("pair_id", "image_id", "caption", "split")])
SHARD_FILES = ("image_tokens-{:05}.npy", "pairs-{:05}.parquet")
CHUNK_BYTES = 2**24
_DESCRIPTION = {"views": int, "codebook_size": int, "grid_size": int, "dvae_sha256": str, "shards": list}
_RECORD = {"num_pairs": int, "crc32": list}


@dataclass(frozen=True)
class TokenStore:
    """`image_tokens`: uint16 (P, V, G*G), V views of each of P pairs, memory-mapped; `pairs`: their captions, row by row.

    `dvae_sha256` is the digest of the weights that made the tokens: to another dVAE they mean nothing.
    """

    image_tokens: ShardedTokens
    pairs: pd.DataFrame
    codebook_size: int
    grid_size: int
    dvae_sha256: str


def open_token_store(folder: Path | str) -> TokenStore:
    """Open what `join_shards` wrote; a missing, truncated, damaged or foreign file is a `ValueError` naming it.

    All bytes are read once, for their checksums.
    """
    folder = Path(folder)
    description = _read_description(folder / "store.json")
    records = description["shards"]
    _refuse_strangers(folder, len(records))
    tokens, pairs = [], []
    for number, record in enumerate(records):
        for name, checksum in zip(SHARD_FILES, record["crc32"], strict=True):
            _verify(folder / name.format(number), checksum)
        tokens.append(np.load(folder / SHARD_FILES[0].format(number), mmap_mode="r"))
        pairs.append(pq.read_table(folder / SHARD_FILES[1].format(number), schema=PAIRS_SCHEMA).to_pandas())
        shape = (record["num_pairs"], description["views"], description["grid_size"] ** 2)
        if tokens[-1].dtype != np.uint16 or tokens[-1].shape != shape or len(pairs[-1]) != shape[0]:
            found = f"{tokens[-1].dtype} {tokens[-1].shape} tokens and {len(pairs[-1])} pairs"
            raise ValueError(f"{folder / 'store.json'}: says uint16 {shape} tokens for shard {number}, its files hold {found}")
    return TokenStore(
        ShardedTokens(tokens),
        pd.concat(pairs, ignore_index=True),
        description["codebook_size"],
        description["grid_size"],
        description["dvae_sha256"],
    )


def require_dvae(store: TokenStore, dvae_sha256: str) -> None:
    """A `ValueError` where the dVAE with these weights is not the one that made the tokens."""
    if store.dvae_sha256 != dvae_sha256:
        raise ValueError(
            f"the token store was made with another dVAE: its weights had the sha256 {store.dvae_sha256}, those given have "
            f"{dvae_sha256}; precompute the tokens again, or put the dVAE back that they were made with"
        )


def crc32_of(path: Path) -> int:
    """The checksum of a whole file, read a piece at a time."""
    checksum = 0
    with open(path, "rb") as file:
        while chunk := file.read(CHUNK_BYTES):
            checksum = zlib.crc32(chunk, checksum)
    return checksum


def _read_description(path: Path) -> dict[str, Any]:
    if not path.is_file():
        raise ValueError(f"{path}: missing; either no token store, or its writing was interrupted: write the tokens again")
    try:
        description = json.loads(path.read_text())
    except ValueError as error:
        raise ValueError(f"{path}: not JSON: {error}") from None
    if not _has_types(description, _DESCRIPTION) or not description["shards"]:
        raise ValueError(f"{path}: not the description of a token store, which has the keys {sorted(_DESCRIPTION)}")
    for number, record in enumerate(description["shards"]):
        if not _has_types(record, _RECORD) or len(record["crc32"]) != len(SHARD_FILES):
            raise ValueError(f"{path}: shard {number} is not described by the keys {sorted(_RECORD)}, a checksum for each file")
    return description


def _has_types(mapping: Any, types: dict[str, type]) -> bool:
    if not isinstance(mapping, dict) or set(mapping) != set(types):
        return False
    return all(isinstance(mapping[key], kind) for key, kind in types.items())


def _refuse_strangers(folder: Path, num_shards: int) -> None:
    """A shard that store.json does not count is of another store, and then so may the others be."""
    own = {name.format(number) for name in SHARD_FILES for number in range(num_shards)}
    found = {path.name for name in SHARD_FILES for path in folder.glob(name.replace("{:05}", "*"))}
    if found - own:
        raise ValueError(f"{folder / min(found - own)}: not a shard of this store, whose store.json counts {num_shards}")


def _verify(path: Path, checksum: int) -> None:
    if not path.is_file():
        raise ValueError(f"{path}: missing; a token store holds store.json and all the shards that it counts")
    if crc32_of(path) != checksum:
        raise ValueError(f"{path}: cut short, changed, or of another store than its store.json; write the tokens again")
