"""Means, deviations and limits against numbers worked out by hand, and honest runs drawn by chance."""

import math

import numpy as np
import pytest

from harness.headline_values import Measured
from harness.spread import Seeds, limits_of, unknown_limit


def measured(values, kind="valid", error=None):
    return {key: Measured(value=value, kind=kind, error=error) for key, value in values.items()}


def seeds(**values):
    return {key: Seeds(values=tuple(some)) for key, some in values.items()}


def test_mean_and_deviation_by_hand():
    some = Seeds(values=(1.0, 2.0, 6.0))
    assert some.mean == 3.0 and some.standard_deviation == pytest.approx(math.sqrt((4 + 1 + 9) / 2))
    assert Seeds(values=(5.0,)).standard_deviation is None


def test_limits_of_one_metric_alone_by_hand():
    limits = limits_of(measured({"a": 10.0}), seeds(a=(9.0, 10.0, 11.0)))["a"]
    assert (limits.center, limits.spread, limits.num_seeds) == (10.0, 1.0, 3)
    assert limits.within == pytest.approx(3 * math.sqrt(4 / 3))
    # Student's t with 2 degrees of freedom has the quantile (2p - 1) / sqrt(2p (1 - p))
    p = 1 - 0.05 / 2
    assert limits.outside == pytest.approx(max(3.0, (2 * p - 1) / math.sqrt(2 * p * (1 - p))) * math.sqrt(4 / 3))


def test_a_variance_is_averaged_with_those_of_its_kind_in_units_of_their_size():
    # relative variances: (1/10)^2 and (2/20)^2 are the same, so the typical one is 0.01 and counts as one more degree
    limits = limits_of(measured({"a": 10.0, "b": 20.0}), seeds(a=(9.0, 10.0, 11.0), b=(18.0, 20.0, 22.0)))
    assert limits["a"].spread == pytest.approx(1.0) and limits["b"].spread == pytest.approx(2.0)
    limits = limits_of(measured({"a": 10.0, "b": 10.0}), seeds(a=(10.0, 10.0, 10.0), b=(9.0, 10.0, 11.0)))
    assert set(limits) == {"b"}  # one alone varies: it counts as no degree of freedom, and how much a varies is unknown
    three = seeds(a=(10.0, 10.0, 10.0), b=(9.0, 10.0, 11.0), c=(8.0, 10.0, 12.0))
    spread = limits_of(measured({"a": 10.0, "b": 10.0, "c": 10.0}), three)["a"].spread
    assert spread == pytest.approx(math.sqrt(1 * (1 + 4) / 2 / 3))


def test_standard_errors_are_the_unit_where_they_are_known():
    values = seeds(a=(0.0, 1.0, 2.0), b=(0.0, 10.0, 20.0))
    numbers = measured({"a": 1.0}, error=0.5) | measured({"b": 10.0}, error=5.0)
    limits = limits_of(numbers, values)
    assert limits["a"].spread == pytest.approx(1.0) and limits["b"].spread == pytest.approx(10.0)


def test_counts_that_no_seed_changes_and_single_seeds_have_no_limits():
    numbers = {"count": Measured(value=7, kind="valid"), "lone": Measured(value=1.5, kind="valid")}
    assert limits_of(numbers, seeds(count=(7.0, 7.0, 7.0), lone=(1.5,))) == {}
    assert unknown_limit(200.0) == 4.0 and unknown_limit(0.1) == 0.02 and unknown_limit(-3.0) == pytest.approx(0.06)


@pytest.mark.parametrize("num_seeds", [3, 5])
def test_most_honest_runs_have_no_number_outside(num_seeds):
    """Ten kinds of numbers in four groups that move together, their deviations unequal: 5 % of runs may fail, 10 % do not."""
    rng, passed, beyond = np.random.default_rng(0), 0, 0
    for _ in range(60):
        shared = rng.normal(size=(10, 4, 1, num_seeds + 1))
        own = rng.normal(size=(10, 4, 4, num_seeds + 1))
        sizes = np.exp(rng.normal(0, 0.3, size=(10, 4, 4, 1)))
        values = 100 + sizes * (math.sqrt(0.8) * shared + math.sqrt(0.2) * own)
        rows = {(kind, row): values[kind].reshape(16, -1)[row] for kind in range(10) for row in range(16)}
        numbers = {key: Measured(value=float(row[0]), kind=str(key[0])) for key, row in rows.items()}
        known = {key: Seeds(values=tuple(map(float, row[:num_seeds]))) for key, row in rows.items()}
        limits = limits_of(numbers, known)
        distances = {key: abs(row[num_seeds] - limits[key].center) for key, row in rows.items()}
        passed += all(distances[key] <= limits[key].outside for key in rows)
        beyond += any(distances[key] > limits[key].within for key in rows)
    assert passed >= 54
    assert beyond >= 20  # three standard deviations alone would have failed many honest runs
