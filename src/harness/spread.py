"""How far a number may lie from the mean of a few seeds: the spread of a metric, and the limits that follow from it.

Three seeds say little about a standard deviation: a tenth of all honest new runs lie beyond three of one that was taken from
three seeds, and a default has hundreds of numbers. So the variance of a metric is averaged with what is typical of its kind,
as Smyth (2004) does for many genes and few arrays, and a new run counts as different only where that many numbers from that
few seeds do not explain it.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from scipy import stats

from harness.headline_values import Measured

DEVIATIONS = 3.0
FAMILY_ERROR = 0.05  # the share of honest runs of which any number may be called outside
TYPICAL_WEIGHT = 4  # degrees of freedom that the typical variance of a kind counts as, at most
UNKNOWN_RELATIVE, UNKNOWN_SHARE = 0.02, 0.02  # what a number may move by where no seeds say how much it varies
LEAST_SHARE_VARIANCE = 0.01  # of a share p, p (1 - p), which is 0 for one that is 0 or 1
DIGITS = 1e-5  # of a value: metrics are written with six


@dataclass(frozen=True, kw_only=True)
class Seeds:
    """The values of one metric by seed, as seeds.csv has them."""

    values: tuple[float, ...]

    @property
    def mean(self) -> float:
        return math.fsum(self.values) / len(self.values)

    @property
    def standard_deviation(self) -> float | None:
        """With n - 1 in the denominator; None for one seed alone."""
        if len(self.values) < 2:
            return None
        mean = self.mean
        return math.sqrt(math.fsum((value - mean) ** 2 for value in self.values) / (len(self.values) - 1))


@dataclass(frozen=True, kw_only=True)
class Limits:
    """`within` of the mean a number lies in the seeds' spread; further than `outside` from it nothing explains it."""

    center: float
    spread: float
    within: float
    outside: float
    num_seeds: int


def limits_of(measured: Mapping[str, Measured], seeds: Mapping[str, Seeds]) -> dict[str, Limits]:
    """The limits of every metric whose seeds differ, or whose kind does; `measured` gives kinds, and errors for the scale."""
    known = {key: some for key, some in seeds.items() if key in measured and some.standard_deviation is not None}
    kinds: dict[str, list[str]] = {}
    for key in known:
        if not is_fixed_count(measured[key], known[key]):
            kinds.setdefault(measured[key].kind, []).append(key)
    scales = {key: scale for keys in kinds.values() for key, scale in _scales(keys, measured, known).items()}
    typical = {kind: _typical(keys, scales, known) for kind, keys in kinds.items()}
    judged = [key for kind, keys in kinds.items() for key in keys if typical[kind] is not None]
    found = {key: _limits(known[key], scales[key], typical[measured[key].kind], len(judged)) for key in judged}
    return {key: limits for key, limits in found.items() if limits.spread}


def is_fixed_count(measured: Measured, seeds: Seeds) -> bool:
    """A whole number that is the same for every seed: it counts the data, and is right or wrong."""
    return measured.is_count and len(set(seeds.values)) == 1


def unknown_limit(value: float) -> float:
    """What a number may move by where no seeds say how much it varies."""
    return max(UNKNOWN_RELATIVE * abs(value), UNKNOWN_SHARE if 0 <= value <= 1 else 0.0)


def _scales(keys: Sequence[str], measured: Mapping[str, Measured], seeds: Mapping[str, Seeds]) -> dict[str, float]:
    """The unit in which numbers of a kind vary alike: their standard error; else of shares the binomial; else their size."""
    are_shares = all(0 <= value <= 1 for key in keys for value in seeds[key].values)

    def scale(key: str) -> float:
        error, mean = measured[key].error, seeds[key].mean
        if error is not None:
            return error
        return math.sqrt(max(mean * (1 - mean), LEAST_SHARE_VARIANCE)) if are_shares else abs(mean)

    return {key: scale(key) for key in keys}


def _typical(keys: Sequence[str], scales: Mapping[str, float], seeds: Mapping[str, Seeds]) -> tuple[float, int] | None:
    """The mean variance of those of a kind that vary, in units of their scale, and its degrees of freedom; None: none vary."""
    varying = [key for key in keys if seeds[key].standard_deviation and scales[key] > 0]
    if not varying:
        return None
    variance = math.fsum((seeds[key].standard_deviation / scales[key]) ** 2 for key in varying) / len(varying)
    return variance, min(TYPICAL_WEIGHT, len(varying) - 1)


def _limits(seeds: Seeds, scale: float, typical: tuple[float, int], num_judged: int) -> Limits:
    variance, weight = typical
    count = len(seeds.values)
    freedom = count - 1 + weight
    spread = math.sqrt(((count - 1) * seeds.standard_deviation**2 + weight * variance * scale**2) / freedom)
    new = spread * math.sqrt(1 + 1 / count)  # of a new run about a mean that is uncertain itself
    factor = max(DEVIATIONS, stats.t.isf(FAMILY_ERROR / num_judged / 2, freedom))
    least = DIGITS * abs(seeds.mean)
    within = max(DEVIATIONS * new, least)
    return Limits(center=seeds.mean, spread=spread, within=within, outside=max(factor * new, least), num_seeds=count)
