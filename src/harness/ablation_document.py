"""ablation.yaml -> the arms to run and what is asked of them; every key is checked before anything runs."""

import difflib
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dalle.config import ConfigError, to_mapping
from dalle.report.headlines import Headline, words_for
from harness.params import build_params, flatten, parse_yaml, read_text, read_yaml
from harness.pipeline import StageEntry, ancestors, read_pipeline
from harness.sentences import DIVERGES, TRENDS, Sentence, label_of, parse_rule
from harness.variants import NOT_COMPARED

DOCUMENT = "ablation.yaml"
TRAINING_SEED = "training_seed"  # of all that is trained on the data and drawn from the models; the data have `seed`
MAX_GROUPS, MAX_METRICS = 6, 6  # what a figure has room for


@dataclass(frozen=True, kw_only=True)
class Arm:
    """One experiment; `params` is the whole tree as it has it, `changes` the leaves in which params.yaml differs."""

    params: Mapping[str, Any]
    changes: Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where an arm (by its index) stands in a group; `x` is its number where the axis is numeric."""

    label: str
    arm: int
    x: float | None = None


@dataclass(frozen=True, kw_only=True)
class Group:
    """Arms beside each other; `param` is the key of the horizontal axis, empty where they have names."""

    title: str
    param: str
    also: Mapping[str, Any]  # what is changed in every arm of the group
    places: tuple[Place, ...]

    @property
    def is_numeric(self) -> bool:
        return all(place.x is not None for place in self.places)


@dataclass(frozen=True, kw_only=True)
class Document:
    """An ablation as it is asked for. Arm 0 is the base; an arm that several groups name is there once."""

    question: str
    title: str
    target: str
    base: Mapping[str, Any]
    groups: tuple[Group, ...]
    seeds: tuple[Place, ...]
    metrics: tuple[Headline, ...]
    sentences: tuple[Sentence, ...]
    arms: tuple[Arm, ...]

    def group(self, title: str) -> Group:
        return next(group for group in self.groups if group.title == title)


def read_document(folder: Path, params_file: Path, pipeline_file: Path, tree: type | None = None) -> Document:
    """The checked document of `folder`; an error names the file, the key and the rule."""
    path = folder / DOCUMENT
    text = read_text(path)
    content = parse_yaml(text, str(path))
    required, optional = ("title", "target", "base", "groups", "metrics"), ("seeds", "sentences")
    _check_keys(content, required, optional, str(path))
    stages = stages_up_to(content["target"], read_pipeline(pipeline_file, read_yaml(params_file)), f"{path}: target")
    arms = _Arms(read_yaml(params_file), tree)
    base = _overrides(content["base"], f"{path}: base")
    arms.index_of(base, f"{path}: base")
    groups = tuple(_group(group, base, arms, f"{path}: groups[{n}]") for n, group in enumerate(_list(content, "groups", path)))
    _check_different([group.title for group in groups], f"{path}: groups")
    seeds = tuple(_seeds(content.get("seeds") or [], base, arms, f"{path}: seeds"))
    metrics = tuple(_metric(text, stages, f"{path}: metrics") for text in _list(content, "metrics", path))
    if len(groups) > MAX_GROUPS or len(metrics) > MAX_METRICS:
        raise ConfigError(f"{path}: a figure has room for {MAX_GROUPS} groups and {MAX_METRICS} metrics: make it two ablations")
    document = Document(
        question=_question(text),
        title=str(content["title"]),
        target=content["target"],
        base=base,
        groups=groups,
        seeds=seeds,
        metrics=metrics,
        sentences=tuple(
            _sentence(entry, groups, metrics, f"{path}: sentences[{n}]")
            for n, entry in enumerate(content.get("sentences") or [])
        ),
        arms=tuple(arms.arms),
    )
    return document


def stages_up_to(target: str, pipeline: Sequence[StageEntry], where: str = "target") -> tuple[StageEntry, ...]:
    """The stages called `target` (a `foreach` stage stands for all its items) and all before them, in order."""
    named = stages_called(target, pipeline, where)
    found = {before for entry in named for before in ancestors(tuple(pipeline), entry)} | set(named)
    return tuple(entry for entry in pipeline if entry in found)


def stages_called(target: str, pipeline: Sequence[StageEntry], where: str = "target") -> list[StageEntry]:
    """The stage of that name or address; a `foreach` stage's name stands for all its items."""
    named = [entry for entry in pipeline if target in (entry.name, entry.address)]
    if not named:
        raise ConfigError(f"{where}: dvc.yaml has no stage '{target}'{_near(str(target), [entry.name for entry in pipeline])}")
    return named


class _Arms:
    """The arms met so far, the same parameters once."""

    def __init__(self, params: Mapping[str, Any], tree: type | None) -> None:
        self._params, self._tree = params, tree
        self._leaves = flatten(params)
        self._defaults = self._typed(params, "params.yaml")
        self.arms: list[Arm] = []

    @property
    def seed_key(self) -> str:
        """What repeats a training on the same data, where params.yaml has a key for it."""
        return TRAINING_SEED if TRAINING_SEED in self._leaves else "seed"

    def index_of(self, overrides: Mapping[str, Any], where: str) -> int:
        for key in overrides:
            if key not in self._leaves:
                within = [leaf for leaf in self._leaves if leaf.startswith(f"{key}.")]
                hint = f" (it is a section: {', '.join(within)})" if within else _near(key, self._leaves)
                raise ConfigError(f"{where}: {key}: params.yaml has no such key{hint}")
            if key.partition(".")[0] == NOT_COMPARED:
                raise ConfigError(f"{where}: {key}: nothing in '{NOT_COMPARED}' may change a result")
        leaves = self._typed(_nested({**self._leaves, **overrides}), where)
        changes = {key: value for key, value in leaves.items() if value != self._defaults.get(key)}
        known = [arm.changes for arm in self.arms]
        if changes not in known:
            self.arms.append(Arm(params=_nested({**self._leaves, **changes}), changes=changes))
            known.append(changes)
        return known.index(changes)

    def _typed(self, params: Mapping[str, Any], where: str) -> dict[str, Any]:
        """The leaves as the tree takes them: an integer that stands for a float is one."""
        try:
            return flatten(to_mapping(build_params(params, self._tree)))
        except ConfigError as error:
            raise ConfigError(f"{where}: {error}") from None


def _group(content: Any, base: Mapping[str, Any], arms: _Arms, where: str) -> Group:
    kind = ("param", "values") if isinstance(content, Mapping) and "values" in content else ("arms",)
    _check_keys(content, ("title", *kind), ("set",), where)
    title, param = str(content["title"]), str(content.get("param", ""))
    where = f"{where} '{title}'"
    also = _overrides(content.get("set") or {}, f"{where}: set")
    if param:
        values = _list(content, "values", where)
        variations = [(label_of(value), _overrides({param: value}, where), value) for value in values]
    else:
        if not isinstance(content["arms"], Mapping) or not content["arms"]:
            raise ConfigError(f"{where}: arms: expected NAME: {{KEY: VALUE}}, got {content['arms']!r}")
        variations = [
            (label_of(name), _overrides(changes or {}, f"{where}: {name}"), None) for name, changes in content["arms"].items()
        ]
    _check_different([label for label, _, _ in variations], where)
    numeric = all(_is_number(value) for _, _, value in variations)
    places = tuple(
        Place(
            label=label,
            arm=arms.index_of({**base, **also, **own}, f"{where}: {label}"),
            x=float(value) if numeric else None,
        )
        for label, own, value in variations
    )
    return Group(title=title, param=param, also=also, places=places)


def _seeds(seeds: Any, base: Mapping[str, Any], arms: _Arms, where: str) -> Iterator[Place]:
    if not isinstance(seeds, list) or len(seeds) == 1 or not all(type(seed) is int for seed in seeds):
        raise ConfigError(f"{where}: expected two or more whole numbers, got {seeds!r}")
    _check_different([str(seed) for seed in seeds], where)
    for seed in seeds:
        yield Place(label=f"seed {seed}", arm=arms.index_of({**base, arms.seed_key: seed}, where))


def _metric(text: Any, stages: Sequence[StageEntry], where: str) -> Headline:
    stage, colon, key = str(text).partition(":")
    if not (stage and colon and key):
        raise ConfigError(f"{where}: '{text}': expected STAGE:KEY, such as train_dvae:valid/psnr_db")
    labels, stage = [entry.label for entry in stages], stage.replace("@", "-")
    if stage not in labels:
        raise ConfigError(f"{where}: '{text}': stage '{stage}' does not run up to the target{_near(stage, labels)}")
    return words_for(stage, key)


def _sentence(content: Any, groups: Sequence[Group], metrics: Sequence[Headline], where: str) -> Sentence:
    _check_keys(content, ("says", "source", "group", "expect"), ("metric",), where)
    rule = parse_rule(content["expect"], f"{where}: expect")
    group = next((group for group in groups if group.title == content["group"]), None)
    if group is None:
        raise ConfigError(f"{where}: no group is called '{content['group']}'{_near(str(content['group']), _titles(groups))}")
    metric, addresses = content.get("metric", ""), [metric.address for metric in metrics]
    if rule.word == DIVERGES and metric or rule.word != DIVERGES and metric not in addresses:
        needed = "takes no metric" if rule.word == DIVERGES else f"needs one of the metrics {', '.join(addresses)}"
        raise ConfigError(f"{where}: metric: '{rule.word}' {needed}, got {metric!r}")
    labels = [place.label for place in group.places]
    if rule.arm and rule.arm not in labels:
        raise ConfigError(f"{where}: expect: group '{group.title}' has no arm '{rule.arm}' (there are: {', '.join(labels)})")
    if rule.word in TRENDS and not group.is_numeric:
        raise ConfigError(f"{where}: expect: '{rule.word}' needs a numeric axis, which group '{group.title}' has not")
    return Sentence(
        says=str(content["says"]), source=str(content["source"]), group=group.title, metric=metric, rule=rule
    )


def _overrides(content: Any, where: str) -> dict[str, Any]:
    """Leaves by dotted key; sections may also be nested."""
    if not isinstance(content, Mapping):
        raise ConfigError(f"{where}: expected KEY: VALUE, got {content!r}")
    return flatten(content) if content else {}


def _nested(leaves: Mapping[str, Any]) -> dict[str, Any]:
    tree: dict[str, Any] = {}
    for key, value in leaves.items():
        *sections, name = key.split(".")
        section = tree
        for part in sections:
            section = section.setdefault(part, {})
        section[name] = value
    return tree


def _question(text: str) -> str:
    """The first paragraph of the comment above the document."""
    lines: list[str] = []
    for line in text.splitlines():
        words = line.lstrip("#").strip()
        if not line.startswith("#") or not words:
            break
        lines.append(words)
    return " ".join(lines)


def _check_keys(content: Any, required: Sequence[str], optional: Sequence[str], where: str) -> None:
    if not isinstance(content, Mapping):
        raise ConfigError(f"{where}: expected the keys {', '.join(required)}, got {content!r}")
    known = [*required, *optional]
    if unknown := [key for key in content if key not in known]:
        raise ConfigError(f"{where}: unknown key '{unknown[0]}'{_near(str(unknown[0]), known)}")
    if missing := [key for key in required if key not in content]:
        raise ConfigError(f"{where}: missing key '{missing[0]}'")


def _list(content: Mapping[str, Any], key: str, where: Any) -> list[Any]:
    if not isinstance(content[key], list) or not content[key]:
        raise ConfigError(f"{where}: {key}: expected a list, got {content[key]!r}")
    return content[key]


def _check_different(names: Sequence[str], where: str) -> None:
    if twice := [name for name in names if list(names).count(name) > 1]:
        raise ConfigError(f"{where}: '{twice[0]}' is there twice")


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _titles(groups: Sequence[Group]) -> list[str]:
    return [group.title for group in groups]


def _near(word: str, known: Any) -> str:
    known = list(dict.fromkeys(known))
    close = difflib.get_close_matches(word, known, n=3)
    return f" (did you mean {', '.join(close)}?)" if close else f" (there are: {', '.join(known[:12])})"
