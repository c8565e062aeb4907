"""Every number of reports/metrics under one key: of a stage's JSON, and of a row of an evaluation's table.

`train_prior:valid/loss` is a metric of a stage, `evaluate-coco.csv:fid|dalle|blur=0|reference=all|candidates=32` the value of
a row. Tables with a line for every picture or caption hold no headlines and are left out.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import pandas as pd

VALUE_COLUMNS = {"metric", "model", "value"}  # what tells an evaluation from a table of single pictures
NOT_IN_KEYS = {"domain", "features", "blur_kind", "num_samples", *VALUE_COLUMNS, "low", "high"}
SHORT_NAMES = {"blur_radius": "blur"}
WILSON = ("caption_accuracy", "oracle_accuracy", "precision", "recall")  # metrics with an interval of 95 %
NUM_NORMAL_95 = 3.919928  # standard deviations of a normal distribution that it spans; every other interval spans two


@dataclass(frozen=True, kw_only=True)
class Measured:
    """A number; `error` is the standard error of the measurement itself, where its table has an interval."""

    value: float
    kind: str  # numbers of one kind vary alike, in units of their scale (see `harness.spread`)
    error: float | None = None

    @property
    def is_count(self) -> bool:
        return isinstance(self.value, int)


def of_stage(label: str, metrics: Mapping[str, float]) -> Iterator[tuple[str, Measured]]:
    """The metrics of a stage, `group/name` under its label."""
    for key, value in metrics.items():
        yield f"{label}:{key}", Measured(value=value, kind=key.partition("/")[0])


def of_table(label: str, table: pd.DataFrame) -> Iterator[tuple[str, Measured]]:
    """The values of an evaluation's rows; none of any other table."""
    if not VALUE_COLUMNS <= set(table.columns):
        return
    extra = [column for column in table.columns if column not in NOT_IN_KEYS]
    for row in table.to_dict("records"):
        places = [f"{SHORT_NAMES.get(column, column)}={_text(row[column])}" for column in extra]
        key = f"{label}.csv:{'|'.join([str(row['metric']), str(row['model']), *places])}"
        width = row.get("high", float("nan")) - row.get("low", float("nan"))
        error = float(width) / (NUM_NORMAL_95 if row["metric"] in WILSON else 2) if width > 0 else None
        yield key, Measured(value=float(row["value"]), kind=f"{row['metric']} of the tables", error=error)


def _text(value: object) -> str:
    """A cell of a key: whole numbers without a decimal point, also in a column that has gaps."""
    if isinstance(value, float):
        return "" if value != value else f"{value:g}"
    return str(value)
