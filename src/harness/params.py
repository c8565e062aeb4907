"""params.yaml, read as DVC reads it (YAML 1.2) and checked as a whole before any work starts."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError

from dalle.config import ConfigError, from_mapping

if TYPE_CHECKING:
    from harness.params_tree import Params


def load_params(path: Path, tree: type | None = None) -> "Params":
    """The validated tree; every problem a file can have is a `ConfigError` that names the line or the key."""
    return build_params(read_yaml(path), tree)


def build_params(values: Any, tree: type | None = None) -> "Params":
    """`Params`, or another `tree`, from what `read_yaml` gives."""
    if tree is None:
        from harness.params_tree import Params as tree  # here, because it brings the whole library with it
    return from_mapping(tree, values)


def read_yaml(path: Path) -> Any:
    """Plain dicts, lists and scalars of a YAML 1.2 file: `3e-05` is a number and `on` is text, as in DVC."""
    return parse_yaml(read_text(path), str(path))


def parse_yaml(text: str, source: str, reader: YAML | None = None) -> Any:
    """Parse `text`; errors name `source` and the line. Duplicate keys are refused."""
    try:
        return (reader or YAML(typ="safe", pure=True)).load(text)
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f"{source}, line {mark.line + 1}" if mark else source
        problem = (error.problem or error.context or "cannot be parsed").splitlines()[0]
        raise ConfigError(f"{where}: not valid YAML: {problem}") from None
    except YAMLError as error:
        raise ConfigError(f"{source}: not valid YAML: {str(error).splitlines()[0]}") from None


def read_text(path: Path) -> str:
    """The text of a configuration file; missing or not UTF-8 is a `ConfigError`."""
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise ConfigError(f"{path}: no such file (commands run in the project's folder; this is {Path.cwd()})") from None
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: not UTF-8 text at byte {error.start}") from None


def flatten(mapping: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Leaves by dotted path, in the order of the file; lists and empty sections are leaves."""
    return dict(_leaves(mapping, prefix))


def look_up(mapping: Mapping[str, Any], dotted: str) -> Any:
    """The value at a dotted path; `KeyError` where there is none."""
    value: Any = mapping
    for key in dotted.split("."):
        if not isinstance(value, Mapping) or key not in value:
            raise KeyError(dotted)
        value = value[key]
    return value


def as_text(value: Any) -> str:
    """A leaf as people write it: text bare, everything else as JSON."""
    return value if isinstance(value, str) else json.dumps(value, default=str)


def _leaves(value: Any, path: str) -> Iterator[tuple[str, Any]]:
    if isinstance(value, Mapping) and value:
        for key, item in value.items():
            yield from _leaves(item, f"{path}.{key}" if path else str(key))
    else:
        yield path, value
