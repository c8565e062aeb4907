"""Committed curves: how they are written, read, and compared with what a training reports today."""

import csv
import math
from pathlib import Path

from golden_trainings import Points

FOLDER = Path(__file__).parent
UPDATE_COMMAND = "python -m pytest tests/golden --update-golden"

# Allowed difference as a part of the column's largest value: a hundred times the largest one measured over all columns and
# updates between AVX-512, AVX2 and SSE4 kernels of torch, oneDNN and MKL, with 1, 2 and 4 threads, denormals flushed or not
# (dVAE 9e-6, either prior 1e-6, CLIP 1e-6; the norm of the gradient moves most). A step size 1 % larger is 1e-2 away.
TOLERANCE = {"train_dvae": 1e-3, "train_prior": 1e-4, "train_prior_pixelcnn": 1e-4, "train_clip": 1e-4}

# columns that count: rounding can move one of them by a whole item, a code of 24 or a caption of 12
ONE_ITEM = {
    "valid/codebook_used": 1 / 24,
    "valid/codebook_perplexity": 0.1,
    "valid/retrieval_top1": 1 / 12,
    "valid/retrieval_top5": 1 / 12,
}

SCALED_LIKE = {"valid/elbo_gap": "valid/elbo_relaxed"}  # a difference: its rounding is that of what it is taken between


def write_curves(name: str, points: Points) -> None:
    """`step` and a column a metric, sorted, empty where a metric was not reported: the format of reports/curves."""
    columns = sorted({column for metrics in points.values() for column in metrics})
    with open(FOLDER / f"{name}.csv", "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["step", *columns])
        for step, metrics in sorted(points.items()):
            writer.writerow([step, *(f"{metrics[column]:.7g}" if column in metrics else "" for column in columns)])


def read_curves(name: str) -> Points:
    with open(FOLDER / f"{name}.csv", newline="", encoding="utf-8") as file:
        return {
            int(row.pop("step")): {column: float(text) for column, text in row.items() if text} for row in csv.DictReader(file)
        }


def differences(name: str, found: Points) -> dict[str, str]:
    """For each column that left the committed curve, a sentence about the first update at which it did."""
    golden, sentences = read_curves(name), {}
    scales = _scales(golden)
    for step in sorted(golden | found):
        expected, actual = golden.get(step, {}), found.get(step, {})
        for column in sorted(expected | actual):
            scale = scales.get(SCALED_LIKE.get(column, column), 0.0)
            allowed = max(TOLERANCE[name] * scale, 1.01 * ONE_ITEM.get(column, 0.0))
            before, now = expected.get(column, math.nan), actual.get(column, math.nan)
            if not abs(now - before) <= allowed:  # written so that a nan differs
                sentences.setdefault(column, f"{column} at update {step} is {now:.7g}, was {before:.7g} (+- {allowed:.1g})")
    return sentences


def _scales(points: Points) -> dict[str, float]:
    """The largest absolute value of each column: the dVAE's losses cross zero, where a relative difference means nothing."""
    scales: dict[str, float] = {}
    for metrics in points.values():
        for column, value in metrics.items():
            scales[column] = max(scales.get(column, 0.0), abs(value))
    return scales
