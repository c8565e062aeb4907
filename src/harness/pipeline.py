"""What dvc.yaml says of each stage: the harness checks and labels a run by it, DVC alone decides what to run."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import product
from pathlib import Path, PurePosixPath
from typing import Any

from dalle.config import ConfigError
from harness.params import look_up, read_yaml

REFERENCE = re.compile(r"(?<!\\)\$\{([^}]+)\}")


@dataclass(frozen=True, kw_only=True)
class StageEntry:
    """One stage of dvc.yaml, `${...}` filled in; a `foreach` or `matrix` stage gives one entry an item."""

    name: str
    item: str | None
    deps: tuple[str, ...]
    params: tuple[str, ...]  # dotted keys of params.yaml
    outs: tuple[str, ...]  # outs, metrics and plots

    @property
    def label(self) -> str:
        """`sample-coco`: how files and tags name the stage."""
        return f"{self.name}-{self.item}" if self.item else self.name

    @property
    def address(self) -> str:
        """`sample@coco`: how DVC names the stage."""
        return f"{self.name}@{self.item}" if self.item else self.name

    def writes(self, path: str) -> bool:
        """Whether `path` is one of the outs or lies inside one."""
        return any(_contains(out, path) for out in self.outs)


def read_pipeline(path: Path, params: Mapping[str, Any]) -> tuple[StageEntry, ...]:
    """Every stage of a dvc.yaml whose `${...}` refer to `params` and, within `foreach`, to `${item}` (and `${key}`).

    Within `matrix` they refer to `${item.NAME}`, and the item is called as DVC calls it: the values, joined by hyphens.
    """
    content = read_yaml(path)
    stages = content.get("stages") if isinstance(content, Mapping) else None
    if not isinstance(stages, Mapping):
        raise ConfigError(f"{path}: has no section 'stages'")
    return tuple(entry for name, body in stages.items() for entry in _entries(name, body, params, path))


def find_stage(pipeline: tuple[StageEntry, ...], name: str, item: str | None) -> StageEntry:
    """The entry of a stage's script; `item` is the script's argument."""
    named = [entry for entry in pipeline if entry.name == name]
    if not named:
        raise ConfigError(f"dvc.yaml has no stage '{name}': stage and script carry the same name")
    for entry in named:
        if entry.item == item:
            return entry
    items = ", ".join(entry.item for entry in named if entry.item)
    if not items:
        raise ConfigError(f"stage '{name}' takes no item, got '{item}'")
    got = f"got '{item}'" if item else f"run it as: python -m stages.{name} ITEM"
    raise ConfigError(f"stage '{name}' needs one of the items {items}; {got}")


def upstream_stages(pipeline: tuple[StageEntry, ...], stage: StageEntry) -> tuple[StageEntry, ...]:
    """The stages whose outs are among the deps of `stage`."""
    return tuple(
        entry
        for entry in pipeline
        if entry != stage and any(_contains(out, dep) or _contains(dep, out) for dep in stage.deps for out in entry.outs)
    )


def ancestors(pipeline: tuple[StageEntry, ...], stage: StageEntry) -> tuple[StageEntry, ...]:
    """All stages before `stage` that its outs depend on, in the pipeline's order."""
    found: set[StageEntry] = set()
    pending = [stage]
    while pending:
        new = set(upstream_stages(pipeline, pending.pop())) - found
        found |= new
        pending += new
    return tuple(entry for entry in pipeline if entry in found)


def _entries(name: str, body: Any, params: Mapping[str, Any], path: Path) -> Iterator[StageEntry]:
    if not isinstance(body, Mapping):
        raise ConfigError(f"{path}: stages.{name}: expected a stage, plain or with 'foreach' or 'matrix'")
    if "matrix" in body:
        axes = {axis: _listed(values, params, name) for axis, values in body["matrix"].items()}
        for values in product(*axes.values()):
            item = dict(zip(axes, values, strict=True))
            yield _entry(name, "-".join(map(str, values)), body, {**params, "item": item})
    elif "foreach" in body:
        items = _listed(body["foreach"], params, name)
        pairs = items.items() if isinstance(items, Mapping) else ((item, item) for item in items)
        for key, item in pairs:
            yield _entry(name, str(key), body["do"], {**params, "item": item, "key": key})
    else:
        yield _entry(name, None, body, params)


def _listed(items: Any, params: Mapping[str, Any], name: str) -> Any:
    """Items as they stand in dvc.yaml, or as the section of params.yaml that a `${...}` names."""
    return _substitute(items, params, name) if isinstance(items, str) else items


def _entry(name: str, item: str | None, body: Mapping[str, Any], context: Mapping[str, Any]) -> StageEntry:
    def paths(section: str) -> list[str]:
        entries = body.get(section) or []
        plain = [next(iter(entry)) if isinstance(entry, Mapping) else entry for entry in entries]
        return [str(_substitute(entry, context, name)) for entry in plain]

    return StageEntry(
        name=name,
        item=item,
        deps=tuple(paths("deps")),
        params=tuple(_param_keys(name, body.get("params") or [], context)),
        outs=tuple(paths("outs") + paths("metrics") + paths("plots")),
    )


def _param_keys(name: str, entries: list[Any], context: Mapping[str, Any]) -> Iterator[str]:
    for entry in entries:
        if isinstance(entry, Mapping) and set(entry) != {"params.yaml"}:
            raise ConfigError(f"dvc.yaml: stages.{name}.params: only keys of params.yaml are supported, got {dict(entry)}")
        for key in entry["params.yaml"] if isinstance(entry, Mapping) else [entry]:
            yield str(_substitute(key, context, name))


def _substitute(text: str, context: Mapping[str, Any], stage: str) -> Any:
    """Fill in `${...}`; a text that is one reference alone becomes the value itself."""

    def value(match: re.Match[str]) -> Any:
        try:
            return look_up(context, match[1].strip())
        except KeyError:
            raise ConfigError(f"dvc.yaml: stages.{stage}: nothing is called '{match[1]}' in params.yaml") from None

    whole = REFERENCE.fullmatch(text)
    return value(whole) if whole else REFERENCE.sub(lambda match: str(value(match)), text)


def _contains(folder: str, path: str) -> bool:
    parts = PurePosixPath(folder).parts
    return PurePosixPath(path).parts[: len(parts)] == parts
