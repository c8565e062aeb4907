"""Verdicts on made-up tables, by hand, and a language without room for doubt."""

import math

import pytest
from scipy.stats import spearmanr

from harness.sentences import (
    DIVERGED, FAILED, HELD, DID_NOT_HOLD, NOT_JUDGED, Entry, Rule, judge, parse_rule, rank_correlation,
)  # fmt: skip


def entries(values, stopped=()):
    """Arms 0, 1, 2, ... at x = 0, 1, 2, ..."""
    found = [Entry(label=str(index), x=float(index), value=value) for index, value in enumerate(values)]
    return [*found, *(Entry(label=state, x=99.0, value=None, state=state) for state in stopped)]


def verdict(expect, values, spread=0.0, stopped=()):
    return judge(parse_rule(expect, "here"), entries(values, stopped), spread, lambda value: f"{value:g}")


@pytest.mark.parametrize(
    ("expect", "values", "spread", "held"),
    [
        ("rises", [1, 2, 3, 4], 0, HELD),
        ("rises", [1, 3, 2, 4], 0, HELD),  # rank correlation 0.8
        ("rises", [1, 4, 2, 3], 0, DID_NOT_HOLD),  # 0.4
        ("rises", [4, 3, 2, 1], 0, DID_NOT_HOLD),
        ("falls", [4, 3, 2, 1], 0, HELD),
        ("falls", [4, 3, 2, 1], 3, NOT_JUDGED),  # no further apart than two seeds
        ("rises", [2, 2, 2], 0, NOT_JUDGED),
        ("rises", [1, 2], 0, NOT_JUDGED),
        ({"highest": 1}, [1, 3, 2], 0, HELD),
        ({"highest": 1}, [1, 3, 2], 1, NOT_JUDGED),
        ({"highest": 0}, [1, 3, 2], 1, DID_NOT_HOLD),
        ({"highest": 2}, [1, 3, 2], 1, NOT_JUDGED),
        ({"lowest": 0}, [1, 3, 2], 0.5, HELD),
        ({"lowest": 0}, [1], 0, NOT_JUDGED),
        ({"near_zero": 0.1, "at": 1}, [5, -0.05], 0, HELD),
        ({"near_zero": 0.1, "at": 1}, [5, 0.1], 0, HELD),
        ({"near_zero": 0.1, "at": 0}, [5, 0.05], 0, DID_NOT_HOLD),
        ({"near_zero": 0.1, "at": 1}, [5, 0.12], 0.03, NOT_JUDGED),
    ],
)
def test_verdict(expect, values, spread, held):
    assert verdict(expect, values, spread).verdict == held


@pytest.mark.parametrize(
    ("expect", "held"),
    [
        ({"diverges": DIVERGED}, HELD),
        ({"diverges": 0}, DID_NOT_HOLD),
        ({"diverges": FAILED}, NOT_JUDGED),
        ({"highest": DIVERGED}, DID_NOT_HOLD),
        ({"highest": FAILED}, NOT_JUDGED),
        ({"highest": 2}, HELD),
        ("rises", HELD),
    ],
)
def test_arms_that_stopped_are_named_and_take_no_part(expect, held):
    found = verdict(expect, [1, 2, 3], stopped=(DIVERGED, FAILED))
    assert found.verdict == held
    if "diverges" not in expect:
        assert "0: 1, 1: 2, 2: 3, diverged: diverged, failed: failed" in found.numbers


def test_the_numbers_name_what_decided():
    assert verdict("rises", [1, 4, 2, 3]).numbers == "0: 1, 1: 4, 2: 2, 3: 3 (rank correlation +0.40)"
    assert verdict({"highest": 1}, [1, 3, 2], 1).numbers == "0: 1, 1: 3, 2: 2 (within the noise of seeds); two standard deviations of seeds: 1"
    assert verdict({"diverges": 0}, [1]).numbers == "0: trained to its end"


@pytest.mark.parametrize("values", [[3, 1, 2], [1, 1, 2, 3, 3], [5, 4, 4, 4, 0]])
def test_rank_correlation_is_spearmans(values):
    x = list(range(len(values)))
    assert rank_correlation(x, values) == pytest.approx(spearmanr(x, values).statistic)


def test_a_constant_has_no_rank_correlation():
    assert math.isnan(rank_correlation([1, 2, 3], [7, 7, 7]))


def test_rules_are_read():
    assert parse_rule({"near_zero": 1, "at": 6.0}, "") == Rule(word="near_zero", arm="6", tolerance=1.0)
    assert parse_rule({"lowest": "vq"}, "") == Rule(word="lowest", arm="vq")


@pytest.mark.parametrize(
    ("expect", "words"),
    [
        ("climbs", "'climbs' is not a rule on its own: rules are rises, falls, {highest: ARM}"),
        ("highest", "'highest' is not a rule on its own"),
        ({"best": 1}, "'best' is not a rule that takes a value"),
        ({"rises": 1}, "'rises' is not a rule that takes a value"),
        ({"highest": 1, "at": 2}, "expected {highest: ARM}"),
        ({"near_zero": 0.1}, "expected {near_zero: TOLERANCE, at: ARM}"),
        ({"near_zero": 0, "at": 1}, "near_zero takes a tolerance above 0, got 0"),
        ({"near_zero": "1e-3", "at": 1}, "near_zero takes a tolerance above 0, got '1e-3'"),
        (None, "expected a rule, got None"),
    ],
)
def test_an_unknown_word_is_named(expect, words):
    with pytest.raises(ValueError) as error:
        parse_rule(expect, "ablation.yaml: expect")
    assert str(error.value).startswith("ablation.yaml: expect: ") and words in str(error.value)
