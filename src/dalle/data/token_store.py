"""The token store: every pair's image tokens, memory-mapped, with the captions beside them."""

import json
import os
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

PAIRS_SCHEMA = pa.schema([(name, pa.string()) for name in ("pair_id", "image_id", "caption", "split")])
_FILES = ("image_tokens.npy", "pairs.parquet")
_CHUNK_BYTES = 2**24


@dataclass(frozen=True)
class TokenStore:
    """`image_tokens`: uint16 (P, V, G*G), V views of each of P pairs, memory-mapped; `pairs`: their captions, row by row.

    `dvae_sha256` is the digest of the weights that made the tokens: to another dVAE they mean nothing.
    """

    image_tokens: np.ndarray
    pairs: pd.DataFrame
    codebook_size: int
    grid_size: int
    dvae_sha256: str


def write_token_store(
    folder: Path | str, image_tokens: np.ndarray, pairs: pd.DataFrame, codebook_size: int, grid_size: int, dvae_sha256: str
) -> None:
    """Write uint16 (P, V, G*G) tokens and `pairs` with `pair_id, image_id, caption, split`; equal input gives equal bytes.

    Until the last file, store.json, is in place the folder is no store that opens.
    """
    folder = Path(folder)
    _check_tokens(image_tokens, pairs, codebook_size, grid_size)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "store.json").unlink(missing_ok=True)
    with open(folder / "image_tokens.npy.partial", "wb") as file:
        np.save(file, image_tokens)
    table = pa.Table.from_pandas(pairs[PAIRS_SCHEMA.names], schema=PAIRS_SCHEMA, preserve_index=False)
    pq.write_table(table.replace_schema_metadata(None), folder / "pairs.parquet.partial", compression="zstd")
    description = {
        "num_pairs": image_tokens.shape[0],
        "views": image_tokens.shape[1],
        "codebook_size": codebook_size,
        "grid_size": grid_size,
        "dvae_sha256": dvae_sha256,
        "crc32": {name: _crc32(folder / f"{name}.partial") for name in _FILES},
    }
    (folder / "store.json.partial").write_text(json.dumps(description, indent=2) + "\n")
    for name in (*_FILES, "store.json"):
        os.replace(folder / f"{name}.partial", folder / name)


def open_token_store(folder: Path | str) -> TokenStore:
    """Open what `write_token_store` wrote; a missing, truncated, damaged or foreign file is a `ValueError` naming it.

    All bytes are read once, for their checksum.
    """
    folder = Path(folder)
    description = _read_description(folder / "store.json")
    for name, crc32 in description["crc32"].items():
        path = folder / name
        if not path.is_file():
            raise ValueError(f"{path}: missing; a token store holds store.json, image_tokens.npy and pairs.parquet")
        if _crc32(path) != crc32:
            raise ValueError(f"{path}: cut short, changed, or of another store than its store.json; write the tokens again")
    image_tokens = np.load(folder / "image_tokens.npy", mmap_mode="r")
    pairs = pq.read_table(folder / "pairs.parquet").to_pandas()
    codebook_size, grid_size = description["codebook_size"], description["grid_size"]
    shape = (description["num_pairs"], description["views"], grid_size**2)
    if image_tokens.shape != shape or len(pairs) != len(image_tokens):
        found = f"{image_tokens.shape} tokens and {len(pairs)} pairs"
        raise ValueError(f"{folder / 'store.json'}: says {shape} tokens, the files hold {found}")
    return TokenStore(image_tokens, pairs, codebook_size, grid_size, description["dvae_sha256"])


def require_dvae(store: TokenStore, dvae_sha256: str) -> None:
    """A `ValueError` where the dVAE with these weights is not the one that made the tokens."""
    if store.dvae_sha256 != dvae_sha256:
        raise ValueError(
            f"the token store was made with another dVAE: its weights had the sha256 {store.dvae_sha256}, those given have "
            f"{dvae_sha256}; precompute the tokens again, or put the dVAE back that they were made with"
        )


def _check_tokens(image_tokens: np.ndarray, pairs: pd.DataFrame, codebook_size: int, grid_size: int) -> None:
    if image_tokens.dtype != np.uint16 or image_tokens.ndim != 3 or image_tokens.shape[2] != grid_size**2:
        found = f"{image_tokens.dtype} {image_tokens.shape}"
        raise ValueError(f"image_tokens must be uint16 (num_pairs, views, {grid_size**2}), grid_size squared last, got {found}")
    if len(pairs) != len(image_tokens) or not len(pairs):
        raise ValueError(f"image_tokens and pairs must have as many rows, one at least: {len(image_tokens)} and {len(pairs)}")
    missing = [name for name in PAIRS_SCHEMA.names if name not in pairs.columns]
    if missing:
        raise ValueError(f"pairs must have the columns {PAIRS_SCHEMA.names}, missing {missing}")
    rows = max(1, _CHUNK_BYTES // image_tokens[0].nbytes)
    for start in range(0, len(image_tokens), rows):
        highest = int(image_tokens[start : start + rows].max())
        if highest >= codebook_size:
            raise ValueError(f"image_tokens must be below codebook_size {codebook_size}, found {highest} from row {start} on")


def _read_description(path: Path) -> dict[str, Any]:
    if not path.is_file():
        raise ValueError(f"{path}: missing; either no token store, or its writing was interrupted: write the tokens again")
    keys = {"num_pairs", "views", "codebook_size", "grid_size", "dvae_sha256", "crc32"}
    try:
        description = json.loads(path.read_text())
    except ValueError as error:
        raise ValueError(f"{path}: not JSON: {error}") from None
    known = isinstance(description, dict) and set(description) == keys and isinstance(description["crc32"], dict)
    if not known or set(description["crc32"]) != set(_FILES):
        raise ValueError(f"{path}: not the description of a token store, which has the keys {sorted(keys)}")
    return description


def _crc32(path: Path) -> int:
    checksum = 0
    with open(path, "rb") as file:
        while chunk := file.read(_CHUNK_BYTES):
            checksum = zlib.crc32(chunk, checksum)
    return checksum
