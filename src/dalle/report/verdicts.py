"""Whether a sentence held: only where the numbers differ by more than two standard deviations, else it could not be judged."""

import math
from collections.abc import Sequence

import pandas as pd

HELD, DID_NOT_HOLD, NOT_JUDGED = "held", "did not hold", "could not be judged"
NO_NUMBER, NOT_COMPARABLE = "no number to compare", "not comparable: other features, numbers of images and resolution"
DEVIATIONS = 2.0
NORMAL_95 = 1.959963984540054  # standard deviations that a 95 % interval reaches each way
SHARES = ("caption_accuracy", "oracle_accuracy", "precision", "recall")  # whose low and high are a 95 % interval


def deviation(row: pd.Series, seeds: pd.Series | None = None) -> float:
    """One standard deviation of a row of the evaluation: of the measurement and, where they are known, between seeds.

    NaN where nothing of it is known. `seeds` are standard deviations by the keys of seeds.csv.
    """
    measured = (row["high"] - row["low"]) / 2 / (NORMAL_95 if row["metric"] in SHARES else 1.0)
    between = float("nan") if seeds is None else float(seeds.get(seed_key(row), float("nan")))
    known = [part for part in (measured, between) if math.isfinite(part)]
    return math.hypot(*known) if known else float("nan")


def seed_key(row: pd.Series) -> str:
    """How seeds.csv calls a row of an evaluation."""
    places = f"blur={row['blur_radius']:g}|reference={row['reference']}|candidates={int(row['candidates'])}"
    return f"evaluate-{row['domain']}.csv:{row['metric']}|{row['model']}|{places}"


def by_difference(difference: float, deviations: Sequence[float]) -> str:
    """`held` where a difference is above zero by more than two standard deviations, those of its parts taken together."""
    together = math.hypot(*deviations)
    if not math.isfinite(difference) or not math.isfinite(together) or abs(difference) <= DEVIATIONS * together:
        return NOT_JUDGED
    return HELD if difference > 0 else DID_NOT_HOLD


def by_interval(low: float, high: float, level: float) -> str:
    """`held` where a whole 95 % interval lies above `level`."""
    if low > level:
        return HELD
    return DID_NOT_HOLD if high < level else NOT_JUDGED
