"""Strict mapping -> frozen dataclass: an unknown, missing or ill-typed key is an error that names its path."""

import dataclasses
import difflib
import types
from collections.abc import Mapping
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

T = TypeVar("T")


class LinesError(ValueError):
    """What is wrong with what a user gave, in several lines that are to be shown as they are: a list, or a tree of files."""


class ConfigError(ValueError):
    """What a user wrote in a parameters file cannot be used; the message names the key and the rule."""


def from_mapping(cls: type[T], mapping: Any, path: str = "") -> T:
    """Build the dataclass `cls` from a plain mapping; `path` is the prefix that error messages show.

    Integers are accepted where a float is asked for; strings never stand for numbers, nor booleans for integers.
    A `ValueError` raised by the dataclass's own `__post_init__` is passed on with the path in front.
    """
    if not isinstance(mapping, Mapping):
        raise ConfigError(f"{path or 'the parameters'}: expected a section with keys, got {mapping!r}")
    fields = {field.name: field for field in dataclasses.fields(cls)}
    for key in mapping:
        if key not in fields:
            raise ConfigError(f"{_join(path, key)}: unknown key{_suggestion(key, fields)}")
    missing = [name for name in fields if name not in mapping]
    if missing:
        raise ConfigError(f"{_join(path, missing[0])}: missing key (every parameter is written out, there are no defaults)")
    hints = get_type_hints(cls)
    values = {name: _convert(hints[name], mapping[name], _join(path, name)) for name in fields}
    try:
        return cls(**values)
    except ConfigError:
        raise
    except ValueError as error:
        raise ConfigError(f"{path}: {error}" if path else str(error)) from None


def to_mapping(config: Any) -> dict[str, Any]:
    """The plain mapping that `from_mapping` turns back into an equal dataclass (tuples become lists)."""

    def plain(value: Any) -> Any:
        if isinstance(value, Mapping):
            return {key: plain(item) for key, item in value.items()}
        if isinstance(value, tuple | list):
            return [plain(item) for item in value]
        return value

    return plain(dataclasses.asdict(config))


def _join(path: str, key: Any) -> str:
    return f"{path}.{key}" if path else str(key)


def _suggestion(key: Any, names: Mapping[str, Any]) -> str:
    close = difflib.get_close_matches(str(key), names, n=1)
    return f" (did you mean '{close[0]}'?)" if close else f" (known keys: {', '.join(sorted(names))})"


def _convert(hint: Any, value: Any, path: str) -> Any:
    origin = get_origin(hint)
    if origin in (Union, types.UnionType):
        return _convert_union(get_args(hint), value, path)
    if origin is Literal:
        # `True == 1`, so the type is compared as well
        if not any(value == choice and type(value) is type(choice) for choice in get_args(hint)):
            choices = ", ".join(map(str, get_args(hint)))
            raise ConfigError(f"{path}: {value!r} is not one of {choices}")
        return value
    if origin is tuple:
        if not isinstance(value, list | tuple):
            raise ConfigError(f"{path}: expected a list, got {value!r}")
        item_hint = get_args(hint)[0]
        return tuple(_convert(item_hint, item, f"{path}[{index}]") for index, item in enumerate(value))
    if origin is dict:
        if not isinstance(value, Mapping):
            raise ConfigError(f"{path}: expected a section with keys, got {value!r}")
        return {key: _convert(get_args(hint)[1], item, _join(path, key)) for key, item in value.items()}
    if dataclasses.is_dataclass(hint):
        return from_mapping(hint, value, path)
    return _convert_scalar(hint, value, path)


def _convert_union(choices: tuple[Any, ...], value: Any, path: str) -> Any:
    if value is None:
        if type(None) in choices:
            return None
        raise ConfigError(f"{path}: must not be empty")
    errors = []
    for choice in choices:
        if choice is not type(None):
            try:
                return _convert(choice, value, path)
            except ConfigError as error:
                errors.append(str(error))
    raise ConfigError(" or ".join(errors))


def _convert_scalar(hint: type, value: Any, path: str) -> Any:
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if hint in (int, float, str, bool) and type(value) is hint:
        return value
    name = {int: "a whole number", float: "a number", str: "text", bool: "true or false"}.get(hint, str(hint))
    raise ConfigError(f"{path}: expected {name}, got {value!r}")
