"""The manifest: one row per (image, caption) pair, pointing into the files the images came in."""

import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

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
        ("width", pa.int32()),  # of the picture, from the header; 0 if unreadable
        ("height", pa.int32()),
        ("box_left", pa.int32()),  # the part of the upright image that is the picture; all four 0: the whole image
        ("box_top", pa.int32()),
        ("box_right", pa.int32()),
        ("box_bottom", pa.int32()),
        ("crc32", pa.int64()),  # of the image's bytes
        ("split", pa.string()),
    ]
)
BOX = ("box_left", "box_top", "box_right", "box_bottom")
SPLITS = ("train", "valid", "val", "test")
ROWS_A_PART = 10_000  # of a manifest's file: what is in memory at once where it is read part by part


class Place(NamedTuple):
    """Where a picture is: file[offset:offset + num_bytes] is an image, `box` (left, top, right, bottom) a part of it.

    A box of zeros is the whole image.
    """

    file: str
    offset: int
    num_bytes: int
    box: tuple[int, int, int, int]


def places(manifest: pd.DataFrame) -> list[Place]:
    """Where every row's picture is, in the manifest's order."""
    boxes = zip(*(manifest[name].tolist() for name in BOX), strict=True)
    columns = manifest["file"].tolist(), manifest["offset"].tolist(), manifest["num_bytes"].tolist(), boxes
    return list(map(Place, *columns))


def manifest_from_rows(rows: Iterable[Mapping[str, Any]]) -> pd.DataFrame:
    """A manifest with the schema's columns, order and types from one mapping a pair; without a box it is the whole image."""
    whole = dict.fromkeys(BOX, 0)
    return pa.Table.from_pylist([{**whole, **row} for row in rows], schema=SCHEMA).to_pandas()


def read_manifest(path: Path | str) -> pd.DataFrame:
    """The manifest at `path`; a file that is missing, unreadable or against the schema is a `ValueError` naming it."""
    parts = [part.to_pandas() for part in _row_groups(Path(path))]
    return check_manifest(pd.concat(parts, ignore_index=True), path)


def iterate_manifest(path: Path | str) -> Iterator[pd.DataFrame]:
    """The manifest part by part, of `ROWS_A_PART` rows, each checked by itself: for manifests larger than memory."""
    for number, part in enumerate(_row_groups(Path(path))):
        yield check_manifest(part.to_pandas(), f"{path}, part {number}")


def num_parts(path: Path | str) -> int:
    """How many parts `read_part` can be asked for; a manifest of nothing has none."""
    path = Path(path)
    with _readable(path), pq.ParquetFile(path) as file:
        return file.num_row_groups


def read_part(path: Path | str, number: int) -> pd.DataFrame:
    """One part of the manifest, checked by itself; `index` is the row within the part."""
    path = Path(path)
    with _readable(path):
        part = _kept_open(path, path.stat().st_mtime_ns).read_row_group(number)
    return check_manifest(part.to_pandas(), f"{path}, part {number}")


def write_manifest(frame: pd.DataFrame, path: Path | str) -> None:
    """Check and write the manifest; equal rows give equal bytes, and an interrupted write leaves `path` as it was."""
    with manifest_writer(path) as writer:
        writer.write(frame)


class ManifestWriter:
    """Writes a manifest from frames of any length: equal rows give equal bytes, however they are divided.

    Each frame is checked by itself: ids of different frames must be different by design.
    """

    def __init__(self, writer: pq.ParquetWriter, path: Path) -> None:
        self._writer, self._path, self.num_pairs = writer, path, 0
        self._waiting = SCHEMA.empty_table()

    def write(self, frame: pd.DataFrame) -> None:
        frame = check_manifest(frame, self._path)
        # without pandas' own metadata: it names library versions
        table = pa.Table.from_pandas(frame, schema=SCHEMA, preserve_index=False).replace_schema_metadata(None)
        self._waiting = pa.concat_tables([self._waiting, table])
        while len(self._waiting) >= ROWS_A_PART:
            self.write_part()
        self.num_pairs += len(frame)

    def write_part(self) -> None:
        """The next `ROWS_A_PART` of the rows that wait, or all of them if they are fewer."""
        part, rest = self._waiting.slice(0, ROWS_A_PART), self._waiting.slice(ROWS_A_PART)
        if len(part):
            # combined: chunks would show in the pages of the file
            self._writer.write_table(part.combine_chunks())
        self._waiting = rest


@contextmanager
def manifest_writer(path: Path | str) -> Iterator[ManifestWriter]:
    """For a manifest that is larger than memory: `path` appears when all parts are written, and not if an error stops them."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(path.name + ".partial")
    try:
        with pq.ParquetWriter(temporary, SCHEMA, compression="zstd") as writer:
            manifest = ManifestWriter(writer, path)
            yield manifest
            manifest.write_part()
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def _row_groups(path: Path) -> Iterator[pa.Table]:
    """The parts of a Parquet file; one that holds nothing has one part without rows."""
    with _readable(path), pq.ParquetFile(path) as file:
        for number in range(file.num_row_groups):
            yield file.read_row_group(number)
        if not file.num_row_groups:
            yield file.read()


@lru_cache(maxsize=1)
def _kept_open(path: Path, changed: int) -> pq.ParquetFile:
    """The file with its list of parts read, which takes as long as a part where there are many; `changed` tells versions."""
    return pq.ParquetFile(path)


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    if not path.is_file():
        raise ValueError(f"{path}: no such manifest")
    try:
        yield
    except (pa.ArrowException, OSError) as error:
        raise ValueError(f"{path}: not a readable Parquet file: {error}") from None


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
        "a box must be all zeros, or left < right and top < bottom and not negative": _broken_boxes(frame),
        "crc32 must be from 0 to 2^32 - 1": ~frame.crc32.between(0, 2**32 - 1),
    }


def _broken_boxes(frame: pd.DataFrame) -> pd.Series:
    left, top, right, bottom = (frame[name] for name in BOX)
    whole = (left == 0) & (top == 0) & (right == 0) & (bottom == 0)
    return ~whole & ((left < 0) | (top < 0) | (right <= left) | (bottom <= top))
