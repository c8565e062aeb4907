"""Variants side by side: which parameters tell them apart, which metrics are shown, and what must not be."""

import difflib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from dalle.config import ConfigError
from dalle.report.headlines import HEADLINES, Headline, value_of, words_for
from harness.variants import Variant

ABSENT = "(absent)"
MAX_OTHERS = 6  # metrics shown of stages that have no headline


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """`axis` is the parameter of the horizontal axis; None: the variants' names are its categories."""

    variants: tuple[Variant, ...]
    differing: tuple[str, ...]
    columns: tuple[Headline, ...]
    axis: str | None
    is_asked: bool  # the columns were chosen by name

    @property
    def is_numeric(self) -> bool:
        return self.axis is not None and all(_is_number(self.param(variant, self.axis)) for variant in self.variants)

    def param(self, variant: Variant, key: str) -> Any:
        return variant.params.get(key, ABSENT)

    def value(self, variant: Variant, column: Headline) -> float | None:
        return value_of(variant.metrics.get(column.stage, {}), column.key)

    def is_missing(self, variant: Variant, column: Headline) -> bool:
        """Whether the stage left this variant nothing of its own to show, where `value` is None."""
        return column.stage not in variant.metrics

    def left_out(self) -> list[str]:
        """A line for each cause: the stages whose results are not shown, of which variants, and why."""
        stages: dict[tuple[str, str], list[str]] = {}  # by cause and variant
        for stage in dict.fromkeys(column.stage for column in self.columns):
            for variant in self.variants:
                cause = variant.missing.get(stage) or (None if stage in variant.metrics else f"{stage} has not run")
                if cause:
                    stages.setdefault((cause, variant.name), []).append(stage)
        variants: dict[tuple[str, str], list[str]] = {}  # by cause and stages
        for (cause, name), left in stages.items():
            variants.setdefault((cause, ", ".join(left)), []).append(name)
        return [f"{left} of {', '.join(names)}: {cause}" for (cause, left), names in variants.items()]

    def same_everywhere(self) -> list[Headline]:
        """Default columns that all variants have with one value: a line says it better than a column."""
        if self.is_asked:
            return []
        rows = {column: {self.value(variant, column) for variant in self.variants} for column in self.columns}
        same = [column for column, values in rows.items() if len(values) == 1 and None not in values]
        return same if len(same) < len(self.columns) else []


def compare(variants: Sequence[Variant], metrics: Sequence[str] = (), param: str | None = None) -> Comparison:
    """Choose what tells the variants apart; `metrics` are STAGE:KEY, `param` a dotted key for the axis."""
    if len(variants) < 2:
        raise ConfigError(f"only {variants[0].name} is there: a comparison needs two")
    differing = _differing(variants)
    columns = [column for text in metrics for column in _asked_for(text, variants)] or _headlines(variants)
    if param is not None and param not in differing:
        raise ConfigError(_no_axis(param, variants, differing))
    axis = param or (differing[0] if len(differing) == 1 else None)
    if not differing and not any(_varies(variants, column) for column in columns):
        names = ", ".join(variant.name for variant in variants)
        raise ConfigError(f"nothing differs: {names} have the same parameters and the same results")
    comparison = Comparison(
        variants=tuple(variants), differing=tuple(differing), columns=tuple(columns), axis=axis, is_asked=bool(metrics)
    )
    return replace(comparison, variants=tuple(_in_order(comparison)))


def _differing(variants: Sequence[Variant]) -> list[str]:
    keys = {key: [variant.params.get(key, ABSENT) for variant in variants] for v in variants for key in v.params}
    return [key for key, values in keys.items() if any(_unlike(values[0], value) for value in values)]


def _unlike(one: Any, other: Any) -> bool:
    return one != other or isinstance(one, bool) != isinstance(other, bool)


def _in_order(comparison: Comparison) -> list[Variant]:
    """Rising along a numeric axis, else as given; the baseline first."""
    variants = sorted(comparison.variants, key=lambda variant: not variant.is_baseline)
    if comparison.is_numeric:
        variants.sort(key=lambda variant: comparison.param(variant, comparison.axis))
    return variants


def _headlines(variants: Sequence[Variant]) -> list[Headline]:
    """The default columns: headlines that at least one variant has; of stages without any, their first metrics."""
    stages = _stages(variants)
    found = [
        words_for(stage, headline.key)
        for headline in HEADLINES
        for stage in stages
        if stage.partition("-")[0] == headline.stage and _has(variants, stage, headline.key)
    ]
    found.sort(key=lambda column: stages.index(column.stage))
    keys = {(stage, key): None for variant in variants for stage, metrics in variant.metrics.items() for key in metrics}
    others = sorted(keys, key=lambda key: not key[1].startswith("valid/"))
    if not (found or others):
        raise ConfigError(f"no results to compare: {next(_causes(variants), 'no stage has left metrics')}")
    return found or [words_for(*key) for key in others[:MAX_OTHERS]]


def _asked_for(text: str, variants: Sequence[Variant]) -> Iterator[Headline]:
    """The column of STAGE:KEY; a stage that runs for each domain stands for all of them."""
    name, colon, key = text.partition(":")
    if not (name and colon and key):
        raise ConfigError(f"--metric {text}: expected STAGE:KEY, such as train_dvae:valid/psnr_db")
    stages, name = _stages(variants), name.replace("@", "-")
    named = [stage for stage in stages if name in (stage, stage.partition("-")[0])]
    if not named:
        raise ConfigError(f"--metric {text}: no stage is called '{name}'{_near(name, stages)}")
    had = [stage for stage in named if _has(variants, stage, key)]
    if not had:
        keys = {key: None for variant in variants for stage in named for key in variant.metrics.get(stage, {})}
        why = _near(key, keys) if keys else f" ({next(_causes(variants, named), 'it has left no metrics')})"
        raise ConfigError(f"--metric {text}: nobody has it{why}")
    yield from (words_for(stage, key) for stage in had)


def _stages(variants: Sequence[Variant]) -> list[str]:
    return list(dict.fromkeys(stage for variant in variants for stage in variant.stages))


def _causes(variants: Sequence[Variant], stages: Sequence[str] | None = None) -> Iterator[str]:
    for variant in variants:
        yield from (f"{variant.name}: {why}" for stage, why in variant.missing.items() if stages is None or stage in stages)


def _has(variants: Sequence[Variant], stage: str, key: str) -> bool:
    return any(value_of(variant.metrics.get(stage, {}), key) is not None for variant in variants)


def _varies(variants: Sequence[Variant], column: Headline) -> bool:
    values = {value_of(variant.metrics.get(column.stage, {}), column.key) for variant in variants} - {None}
    return len(values) > 1


def _no_axis(param: str, variants: Sequence[Variant], differing: Sequence[str]) -> str:
    if any(param in variant.params for variant in variants):
        others = f"what differs: {', '.join(differing)}" if differing else "no parameter differs"
        return f"--param {param}: it is {variants[0].params.get(param)!r} everywhere ({others})"
    return f"--param {param}: no such parameter{_near(param, [key for variant in variants for key in variant.params])}"


def _near(word: str, known: Any) -> str:
    known = list(dict.fromkeys(known))
    close = difflib.get_close_matches(word, known, n=3) or [name for name in known if name.startswith(f"{word}.")][:3]
    return f" (did you mean {', '.join(close)}?)" if close else f" (there are: {', '.join(known[:12])})"


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
