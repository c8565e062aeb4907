"""Sentences about an ablation, judged from its numbers: a tiny language, so that no verdict is written by hand.

`expect` is one of
    rises, falls               along the group's numeric axis, by Spearman's rank correlation
    {highest: ARM}, {lowest: ARM}
    {near_zero: TOLERANCE, at: ARM}
    {diverges: ARM}            the training stopped because its loss was no number
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from dalle.config import ConfigError
from harness.params import as_text

HELD, DID_NOT_HOLD, NOT_JUDGED = "held", "did not hold", "could not be judged"
DONE, DIVERGED, FAILED = "done", "diverged", "failed"
TRENDS, EXTREMES, NEAR_ZERO, DIVERGES = {"rises": 1, "falls": -1}, {"highest": 1, "lowest": -1}, "near_zero", "diverges"
WORDS = (*TRENDS, *EXTREMES, NEAR_ZERO, DIVERGES)
TREND = 0.8  # rank correlation from which on a curve counts as rising
FEWEST = 3  # points of a trend


@dataclass(frozen=True, kw_only=True)
class Rule:
    word: str
    arm: str = ""
    tolerance: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Sentence:
    """What somebody says of one metric (STAGE:KEY, empty for `diverges`) along one group."""

    says: str
    source: str
    group: str
    metric: str
    rule: Rule


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One arm of the group; `value` is None where it left none."""

    label: str
    x: float | None
    value: float | None
    state: str = DONE


@dataclass(frozen=True, kw_only=True)
class Verdict:
    verdict: str
    numbers: str  # what it rests on


def parse_rule(expect: Any, where: str) -> Rule:
    """The rule of `expect`; an unknown word is an error that names it."""
    if isinstance(expect, str):
        if expect in TRENDS:
            return Rule(word=expect)
        raise ConfigError(f"{where}: '{expect}' is not a rule on its own: {_known()}")
    if not isinstance(expect, Mapping) or not expect:
        raise ConfigError(f"{where}: expected a rule, got {expect!r}: {_known()}")
    word, operand = next(iter(expect.items()))
    if word not in WORDS or word in TRENDS:
        raise ConfigError(f"{where}: '{word}' is not a rule that takes a value: {_known()}")
    others = list(expect)[1:]
    if others != (["at"] if word == NEAR_ZERO else []):
        raise ConfigError(f"{where}: expected {_example(word)}, got {dict(expect)}")
    if word != NEAR_ZERO:
        return Rule(word=word, arm=label_of(operand))
    if isinstance(operand, bool) or not isinstance(operand, int | float) or operand <= 0:
        raise ConfigError(f"{where}: near_zero takes a tolerance above 0, got {operand!r}")
    return Rule(word=word, arm=label_of(expect["at"]), tolerance=float(operand))


def label_of(value: Any) -> str:
    """How an arm is named by a value: 0 and 0.0 are one."""
    return f"{value:g}" if isinstance(value, int | float) and not isinstance(value, bool) else as_text(value)


def judge(rule: Rule, entries: Sequence[Entry], spread: float, show: Callable[[float], str]) -> Verdict:
    """The verdict over the arms of a group; differences up to `spread` are noise of seeds (two deviations; 0: unknown)."""
    if rule.word == DIVERGES:
        return _judge_diverges(rule, entries)
    measured = [entry for entry in entries if entry.value is not None]
    stopped = [f"{entry.label}: {entry.state}" for entry in entries if entry.value is None]
    numbers = ", ".join([*(f"{entry.label}: {show(entry.value)}" for entry in measured), *stopped])
    if rule.word in TRENDS:
        verdict, why = _judge_trend(TRENDS[rule.word], measured, spread)
    else:
        own = next(entry for entry in entries if entry.label == rule.arm)
        verdict, why = _judge_arm(rule, own, [entry for entry in measured if entry is not own], spread)
    noise = f"; two standard deviations of seeds: {show(spread)}" if spread else ""
    return Verdict(verdict=verdict, numbers=f"{numbers}{f' ({why})' if why else ''}{noise}")


def rank_correlation(one: Sequence[float], other: Sequence[float]) -> float:
    """Spearman's: the correlation of the ranks, ties sharing their mean; nan where one of them is constant."""
    ranks = [_ranks(values) - (len(values) - 1) / 2 for values in (one, other)]
    size = np.sqrt((ranks[0] ** 2).sum() * (ranks[1] ** 2).sum())
    return float((ranks[0] * ranks[1]).sum() / size) if size else float("nan")


def _ranks(values: Sequence[float]) -> np.ndarray:
    values = np.asarray(values, dtype=float)
    return np.array([(values < value).sum() + ((values == value).sum() - 1) / 2 for value in values])


def _judge_trend(sign: int, measured: Sequence[Entry], spread: float) -> tuple[str, str]:
    if len(measured) < FEWEST:
        return NOT_JUDGED, f"a trend needs {FEWEST} points"
    values = [entry.value for entry in measured]
    if max(values) - min(values) <= spread:
        return NOT_JUDGED, "all within the noise of seeds"
    correlation = rank_correlation([entry.x for entry in measured], values)
    return HELD if sign * correlation >= TREND else DID_NOT_HOLD, f"rank correlation {correlation:+.2f}".replace("-", "−")


def _judge_arm(rule: Rule, own: Entry, others: Sequence[Entry], spread: float) -> tuple[str, str]:
    """What is said of one arm."""
    if own.value is None:
        return (DID_NOT_HOLD if own.state == DIVERGED else NOT_JUDGED), ""
    if rule.word == NEAR_ZERO:
        margin = rule.tolerance - abs(own.value)  # a value at the tolerance itself is near
        return _by_margin(margin, spread) if margin else (HELD, "")
    if not others:
        return NOT_JUDGED, "nothing to compare with"
    sign = EXTREMES[rule.word]
    return _by_margin(min(sign * (own.value - entry.value) for entry in others), spread)


def _by_margin(margin: float, spread: float) -> tuple[str, str]:
    """How far a value is on the right side of what decides."""
    if abs(margin) <= spread:
        return NOT_JUDGED, "within the noise of seeds"
    return (HELD if margin > 0 else DID_NOT_HOLD), ""


def _judge_diverges(rule: Rule, entries: Sequence[Entry]) -> Verdict:
    own = next(entry for entry in entries if entry.label == rule.arm)
    verdict = {DIVERGED: HELD, DONE: DID_NOT_HOLD}.get(own.state, NOT_JUDGED)
    words = {DIVERGED: "diverged", DONE: "trained to its end"}.get(own.state, own.state)
    return Verdict(verdict=verdict, numbers=f"{own.label}: {words}")


def _known() -> str:
    return f"rules are {', '.join(TRENDS)}, {', '.join(_example(word) for word in WORDS if word not in TRENDS)}"


def _example(word: str) -> str:
    return "{near_zero: TOLERANCE, at: ARM}" if word == NEAR_ZERO else f"{{{word}: ARM}}"
