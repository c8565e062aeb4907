"""The manifest: one row per (image, caption) pair, pointing into the files the images came in."""

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

SCHEMA = pa.schema(
    [
        ("pair_id", pa.string()),
        ("image_id", pa.string()),
        ("caption", pa.string()),
        ("file", pa.string()),  # as opened from where the program runs
        ("offset", pa.int64()),  # the image is file[offset:offset + num_bytes]
        ("num_bytes", pa.int64()),
        ("width", pa.int32()),  # from the header, 0 if unreadable
        ("height", pa.int32()),
        ("crc32", pa.int64()),  # of the image's bytes
        ("split", pa.string()),
    ]
)
SPLITS = ("train", "valid", "val", "test")


def manifest_from_rows(rows: Iterable[Mapping[str, Any]]) -> pd.DataFrame:
    """A manifest with the schema's columns, order and types from one mapping a pair."""
    return pa.Table.from_pylist(list(rows), schema=SCHEMA).to_pandas()


def read_manifest(path: Path | str) -> pd.DataFrame:
    """The manifest at `path`; a file that is missing, unreadable or against the schema is a `ValueError` naming it."""
    path = Path(path)
    if not path.is_file():
        raise ValueError(f"{path}: no such manifest")
    try:
        frame = pq.read_table(path).to_pandas()
    except (pa.ArrowException, OSError) as error:
        raise ValueError(f"{path}: not a readable Parquet file: {error}") from None
    return check_manifest(frame, path)


def write_manifest(frame: pd.DataFrame, path: Path | str) -> None:
    """Check and write the manifest; equal rows give equal bytes, and an interrupted write leaves `path` as it was."""
    path = Path(path)
    frame = check_manifest(frame, path)
    path.parent.mkdir(parents=True, exist_ok=True)
    # without pandas' own metadata: it names library versions
    table = pa.Table.from_pandas(frame, schema=SCHEMA, preserve_index=False).replace_schema_metadata(None)
    temporary = path.with_name(path.name + ".partial")
    pq.write_table(table, temporary, compression="zstd")
    os.replace(temporary, path)


def check_manifest(frame: pd.DataFrame, where: Path | str) -> pd.DataFrame:
    """The frame with the schema's types and columns in order, or a `ValueError` naming `where` and the broken rule."""
    missing = [name for name in SCHEMA.names if name not in frame.columns]
    unknown = [name for name in frame.columns if name not in SCHEMA.names]
    if missing or unknown:
        raise ValueError(f"{where}: a manifest has the columns {SCHEMA.names}; missing {missing}, unknown {unknown}")
    try:
        frame = pa.Table.from_pandas(frame[SCHEMA.names], schema=SCHEMA, preserve_index=False).to_pandas()
    except pa.ArrowException as error:
        raise ValueError(f"{where}: a column does not have its type: {error}") from None
    for rule, broken in _broken_rules(frame).items():
        if broken.any():
            examples = ", ".join(map(repr, frame.pair_id[broken].head(3)))
            raise ValueError(f"{where}: {rule}; {int(broken.sum())} of {len(frame)} rows break this, first pair_id {examples}")
    return frame


def one_row_per_image(manifest: pd.DataFrame) -> pd.DataFrame:
    """The first row of every image, in the manifest's order: what is trained on images alone."""
    return manifest.drop_duplicates("image_id", ignore_index=True)


def _broken_rules(frame: pd.DataFrame) -> dict[str, pd.Series]:
    return {
        "no value may be empty (null)": frame.isna().any(axis=1),
        "pair_id must be unique": frame.pair_id.duplicated(keep=False),
        f"split must be one of {', '.join(SPLITS)}": ~frame.split.isin(SPLITS),
        "an image belongs to one split": frame.groupby("image_id").split.transform("nunique") > 1,
        "offset, num_bytes, width and height must not be negative": (
            frame[["offset", "num_bytes", "width", "height"]].lt(0).any(axis=1)
        ),
        "crc32 must be from 0 to 2^32 - 1": ~frame.crc32.between(0, 2**32 - 1),
    }
