"""One of the two released networks as it lies in its file: modules by path, and tensors by the names a state dict has."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from dalle.convert.restricted_reading import Shell, class_of, read_module

MAX_DEPTH = 5  # blocks.group_1.block_1.res_path.conv_1
NAME = re.compile(r"\w{1,32}", re.ASCII)
DTYPES = (torch.float32, torch.float16)


@dataclass(frozen=True, kw_only=True)
class ReleasedNetwork:
    """`kind` is encoder or decoder; `modules` holds the root under the empty path."""

    path: Path
    kind: str
    modules: dict[str, Shell]
    tensors: dict[str, Tensor]

    def state(self, module: str, name: str) -> Any:
        """An attribute of a module; one that is missing or no plain value is a `ValueError`."""
        value = vars(self.modules[module]).get(name, self)
        if type(value) not in (int, float, bool, str, type(None)):
            raise ValueError(f"{self.path}: {module} has no plain value {name}")
        return value

    def width(self, name: str, axis: int) -> int:
        """The output (0) or input (1) channels of the weight `name`."""
        if name not in self.tensors:
            raise ValueError(f"{self.path}: the tensor {name} is missing")
        if self.tensors[name].ndim != 4:
            raise ValueError(f"{self.path}: {name} has shape {tuple(self.tensors[name].shape)}, expected four axes")
        return self.tensors[name].shape[axis]


def read_network(path: Path, kind: str) -> ReleasedNetwork:
    """`kind` is encoder or decoder; a file with anything else is a `ValueError`."""
    root = read_module(path)
    if class_of(root) != root_class(kind):
        raise ValueError(f"{path}: holds a {class_of(root)}, expected a {root_class(kind)}")
    try:
        modules = _modules(root)
        return ReleasedNetwork(path=path, kind=kind, modules=modules, tensors=_tensors(modules))
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None


def root_class(kind: str) -> str:
    return f"dall_e.{kind}.{kind.capitalize()}"


def _modules(root: Shell) -> dict[str, Shell]:
    """Every module by its path; one in two places would be walked through as often as there are ways to it."""
    found, waiting, seen = {}, [("", root)], set()
    while waiting:
        path, module = waiting.pop()
        if not isinstance(module, Shell):
            raise ValueError(f"{path} is a {class_of(module)}, no module")
        if id(module) in seen or path.count(".") >= MAX_DEPTH:
            raise ValueError(f"the module {path} stands in a second place, or too deep")
        seen.add(id(module))
        found[path] = module
        waiting += [(_join(path, name), child) for name, child in _entries(path, module, "_modules")]
    return found


def _tensors(modules: dict[str, Shell]) -> dict[str, Tensor]:
    found, storages = {}, set()
    for path, module in modules.items():
        for name, value in _entries(path, module, "_parameters") + _entries(path, module, "_buffers"):
            if value is not None:  # as a convolution without a bias has it
                found[_join(path, name)] = value
                _check_tensor(_join(path, name), value, storages)
    return found


def _check_tensor(name: str, value: Any, storages: set[int]) -> None:
    """A tensor may be no larger than what is stored for it alone: a stride of 0 makes a terabyte of one number."""
    if not isinstance(value, Tensor) or value.dtype not in DTYPES or value.device.type != "cpu":
        raise ValueError(f"{name} is no float32 or float16 tensor but {getattr(value, 'dtype', class_of(value))}")
    storage = value.untyped_storage()
    if value.nbytes > storage.nbytes():
        raise ValueError(f"{name} has shape {tuple(value.shape)}, and only {storage.nbytes()} bytes are stored for it")
    if storage.data_ptr() in storages:
        raise ValueError(f"{name} shares its storage with another tensor")
    storages.add(storage.data_ptr())
    if not torch.isfinite(value).all():
        raise ValueError(f"{name} holds numbers that are not finite")


def _entries(path: str, module: Shell, group: str) -> list[tuple[str, Any]]:
    entries = vars(module).get(group)
    if not isinstance(entries, dict):
        raise ValueError(f"the module {path or class_of(module)} has no dictionary {group}")
    for name in dict.keys(entries):  # not its own methods, which a pickle may have put there
        if type(name) is not str or not NAME.fullmatch(name):
            raise ValueError(f"the module {path or class_of(module)} has an entry of {group} that is no name")
    return list(dict.items(entries))


def _join(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name
