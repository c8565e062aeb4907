"""The tidy table of an evaluation: one row a number, with everything the number is over."""

from collections.abc import Iterable, Mapping
from pathlib import Path

import pandas as pd

Row = dict[str, str | int | float]

COLUMNS: Mapping[str, type] = {
    "domain": str,
    "model": str,
    "features": str,
    "blur_kind": str,
    "blur_radius": float,
    "reference": str,
    "candidates": int,
    "num_samples": int,
    "metric": str,
    "value": float,
    "low": float,
    "high": float,
}
KEY = ["domain", "model", "features", "blur_kind", "blur_radius", "reference", "candidates", "metric"]


def write_rows(rows: Iterable[Row], path: Path) -> None:
    """Write `rows` sorted by what they are over, with nine significant digits; two rows over the same thing are an error."""
    frame = validated(pd.DataFrame(list(rows)), "the rows").sort_values(KEY, kind="stable")
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(path.name + ".tmp")
    frame.to_csv(temporary, index=False, float_format="%.9g", lineterminator="\n")
    temporary.replace(path)


def read_rows(path: Path) -> pd.DataFrame:
    """Read what `write_rows` wrote; a ValueError names the file and what is wrong with its columns."""
    numbers = [name for name, kind in COLUMNS.items() if kind is not str]
    # a model may be called "null": only an empty number is a missing one
    missing = {name: [""] for name in numbers}
    frame = pd.read_csv(path, keep_default_na=False, na_values=missing, dtype={"model": str, "domain": str})
    return validated(frame, str(path))


def validated(frame: pd.DataFrame, where: str) -> pd.DataFrame:
    """`frame` with exactly the known columns, in their order and with their types."""
    missing = [name for name in COLUMNS if name not in frame.columns]
    unknown = [name for name in frame.columns if name not in COLUMNS]
    if missing or unknown:
        expected = f"an evaluation has {', '.join(COLUMNS)}"
        raise ValueError(f"{where}: missing columns {missing}, unknown columns {unknown}; {expected}")
    try:
        frame = frame[list(COLUMNS)].astype(dict(COLUMNS))
    except (ValueError, TypeError) as error:
        raise ValueError(f"{where}: a column is not of its type: {error}") from None
    repeated = frame[frame.duplicated(KEY)]
    if len(repeated):
        raise ValueError(f"{where}: two rows over the same thing: {repeated.iloc[0][KEY].to_dict()}")
    return frame


def headline(rows: Iterable[Row]) -> dict[str, float]:
    """The numbers without blur as flat metrics: `METRIC/MODEL`, or `METRIC/MODEL_best_of_N` where N was swept."""
    frame = validated(pd.DataFrame(list(rows)), "the rows")
    frame = frame[frame["blur_radius"] == 0]
    swept = frame.groupby(["model", "metric"])["candidates"].transform("nunique") > 1
    metrics = {}
    for row, is_swept in zip(frame.itertuples(), swept, strict=True):
        name = f"{row.metric}/{row.model}" + (f"_best_of_{row.candidates}" if is_swept else "")
        metrics[name if row.reference == "all" else f"{name}_{row.reference}"] = row.value
    return metrics
