"""Presets: presets/mini.yaml is the whole of params.yaml, every other preset is what it changes in it.

Values are replaced in the text itself, so every comment and every untouched line stays as it is written.
"""

import json
import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from dalle.config import ConfigError
from harness.params import as_text, build_params, flatten, look_up, parse_yaml, read_text

DEFAULT = "mini"
BARE = re.compile(r"[\w.+\-/~]+(?: [\w.+\-/~]+)*")  # text that needs no quotes, whatever surrounds it

Edits = dict[tuple[str, ...], str]


def preset_names(folder: Path) -> list[str]:
    """The presets of a folder, the default first."""
    names = sorted(path.stem for path in folder.glob("*.yaml"))
    if DEFAULT not in names:
        raise ConfigError(f"{folder / DEFAULT}.yaml: no such file (commands run in the project's folder)")
    return [DEFAULT, *(name for name in names if name != DEFAULT)]


def description(name: str, folder: Path) -> str:
    """The first comment line of a preset."""
    lines = read_text(folder / f"{name}.yaml").splitlines()
    return next((line.lstrip("# ").rstrip() for line in lines if line.startswith("#")), "")


def preset_text(name: str, assignments: list[str], folder: Path, tree: type | None = None) -> str:
    """The validated params.yaml of a preset; `assignments` such as `seed=1` change single keys of it."""
    names = preset_names(folder)
    if name not in names:
        raise ConfigError(f"'{name}' is not a preset: choose one of {', '.join(names)}")
    text = read_text(folder / f"{DEFAULT}.yaml")
    if name != DEFAULT:
        path = folder / f"{name}.yaml"
        text = _replace(text, _preset_edits(text, read_text(path), str(path)))
    text = _replace(text, dict(_assigned(text, assignment) for assignment in assignments))
    build_params(parse_yaml(text, f"preset {name}"), tree)
    return text


def apply_preset(name: str, assignments: list[str], params_path: Path, folder: Path, tree: type | None = None) -> list[str]:
    """Rewrite params.yaml as a preset and return the changed keys as `key: old -> new`; nothing is written on an error."""
    text = preset_text(name, assignments, folder, tree)
    try:
        before = flatten(parse_yaml(read_text(params_path), str(params_path)))
    except (ConfigError, AttributeError):  # what is broken is replaced
        before = {}
    temporary = params_path.with_name(f".{params_path.name}.tmp")
    temporary.write_bytes(text.encode())
    os.replace(temporary, params_path)
    return differences(before, flatten(parse_yaml(text, name)))


def active_preset(params: Mapping[str, Any], folder: Path) -> tuple[str, list[str]]:
    """The preset whose values are nearest to `params`, and how they differ from it."""
    leaves = flatten(params)
    nearest, preset = nearest_preset(leaves, read_presets(folder))
    return nearest, differences(preset, leaves)


def read_presets(folder: Path) -> dict[str, dict[str, Any]]:
    """The leaves of every preset of a folder by its name, the default first; it takes a tenth of a second a preset."""
    base = read_text(folder / f"{DEFAULT}.yaml")
    found = {DEFAULT: flatten(parse_yaml(base, DEFAULT))}
    for name in preset_names(folder)[1:]:
        text = _replace(base, _preset_edits(base, read_text(folder / f"{name}.yaml"), name))
        found[name] = flatten(parse_yaml(text, name))
    return found


def nearest_preset(leaves: Mapping[str, Any], presets: Mapping[str, dict[str, Any]]) -> tuple[str, dict[str, Any]]:
    """The one of `presets` that shares most values with `leaves` (by dotted key, not necessarily all), and all of its own."""
    absent = object()
    nearest = min(presets, key=lambda name: sum(presets[name].get(key, absent) != value for key, value in leaves.items()))
    return nearest, presets[nearest]


def differences(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[str]:
    """`key: old -> new` for every leaf that is not the same."""
    absent = object()

    def shown(value: Any) -> str:
        return "(absent)" if value is absent else as_text(value)

    pairs = {key: (before.get(key, absent), after.get(key, absent)) for key in [*after, *(k for k in before if k not in after)]}
    return [f"{key}: {shown(old)} -> {shown(new)}" for key, (old, new) in pairs.items() if old is absent or old != new]


def _preset_edits(base: str, preset: str, source: str) -> Edits:
    """Every leaf of the preset's document as an edit of `base`; a key that `base` lacks is an error naming it."""
    changes = parse_yaml(preset, source)
    if changes is None:
        return {}
    if not isinstance(changes, Mapping):
        raise ConfigError(f"{source}: expected keys of params.yaml, got {changes!r}")
    base_values, tree = parse_yaml(base, DEFAULT), YAML(pure=True).compose(preset)
    return {path: _flow_text(preset, node, value) for path, node, value in _changed(tree, changes, base_values, (), source)}


def _changed(
    node: MappingNode, changes: Mapping[str, Any], base: Mapping[str, Any], path: tuple[str, ...], source: str
) -> Iterator[tuple[tuple[str, ...], Node, Any]]:
    for key_node, value_node in node.value:
        key, here = key_node.value, (*path, key_node.value)
        if key not in base:
            raise ConfigError(f"{source}: {'.'.join(here)}: params.yaml has no such key (known: {', '.join(map(str, base))})")
        if isinstance(value_node, MappingNode) and isinstance(base[key], Mapping):
            yield from _changed(value_node, changes[key], base[key], here, source)
        else:
            yield here, value_node, changes[key]


def _assigned(base: str, assignment: str) -> tuple[tuple[str, ...], str]:
    """`dotted.key=value` as an edit."""
    key, equals, text = assignment.partition("=")
    if not equals:
        raise ConfigError(f"'{assignment}': expected KEY=VALUE, such as seed=1")
    try:
        look_up(parse_yaml(base, DEFAULT), key)
    except KeyError:
        raise ConfigError(f"{key}: params.yaml has no such key") from None
    value = parse_yaml(text, assignment)
    return tuple(key.split(".")), text.strip() if BARE.fullmatch(text.strip()) else json.dumps(value, ensure_ascii=False)


def _flow_text(source: str, node: Node, value: Any) -> str:
    """A value as it stands in its file where that fits on one line of another, else as JSON, which is YAML too."""
    text = source[node.start_mark.index : node.end_mark.index].strip()
    quoted = isinstance(node, ScalarNode) and node.style in ("'", '"')
    flow = not isinstance(node, ScalarNode) and node.flow_style
    if "\n" not in text and "#" not in text and (quoted or flow or BARE.fullmatch(text)):
        return text
    return json.dumps(value, ensure_ascii=False)


def _replace(text: str, edits: Edits) -> str:
    """`text` with the values at the paths replaced."""
    document = YAML(pure=True).compose(text) if edits else None
    spans = [(*_span(document, path), value) for path, value in edits.items()]
    for start, end, value in sorted(spans, reverse=True):
        text = text[:start] + (" " if text[start - 1] == ":" else "") + value + text[end:]
    return text


def _span(node: Node, path: tuple[str, ...]) -> tuple[int, int]:
    for key in path:
        name, node = next((name, value) for name, value in node.value if name.value == key)
    if isinstance(node, ScalarNode) and node.style is None and not node.value:
        return name.end_mark.index + 1, name.end_mark.index + 1  # an empty value: right behind the colon
    return node.start_mark.index, _end(node)


def _end(node: Node) -> int:
    """Where a value ends: the mark of a block collection lies behind the comments that follow it."""
    if isinstance(node, ScalarNode) or node.flow_style or not node.value:
        return node.end_mark.index
    last = node.value[-1]
    return _end(last if isinstance(node, SequenceNode) else last[1])
