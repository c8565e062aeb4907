"""What a stage is made from, as hashes: they key its checkpoint and must be the same when it ends.

DVC hashes the inputs again after the command, so an edit made meanwhile would be recorded as if the run had used it.
"""

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dalle.config import ConfigError
from harness.params import flatten, look_up, read_yaml
from harness.pipeline import StageEntry

IGNORED = frozenset({"__pycache__", ".pytest_cache"})  # the folders .dvcignore names

Stamp = tuple[str, int, int, int]


@dataclass(frozen=True, kw_only=True)
class Fingerprint:
    """Digests of the deps (DVC's own md5) and values of the params leaves of one stage."""

    deps: dict[str, str]
    params: dict[str, Any]
    stamps: dict[str, tuple[Stamp, ...]]

    @property
    def key(self) -> str:
        return digest_of({"deps": self.deps, "params": self.params})[:16]


def take_fingerprint(stage: StageEntry, params: Mapping[str, Any]) -> Fingerprint:
    """Hash what dvc.yaml lists for `stage`; a missing dep or key is a `ConfigError`."""
    for dep in stage.deps:
        if not Path(dep).exists():
            raise ConfigError(f"{dep}: missing, and {stage.address} depends on it: run 'dvc repro {stage.address}'")
    return Fingerprint(
        deps={dep: digest_of_path(Path(dep)) for dep in stage.deps},
        params=_leaves(stage, params),
        stamps={dep: _stamps(Path(dep)) for dep in stage.deps},
    )


def verify_unchanged(stage: StageEntry, before: Fingerprint) -> None:
    """Raise a `ConfigError` naming the first dep or key that is no longer what `before` saw."""
    now = _leaves(stage, read_yaml(Path("params.yaml")))
    for key in sorted(before.params.keys() | now.keys()):
        if before.params.get(key) != now.get(key):
            raise ConfigError(
                f"{key} in params.yaml changed while the stage ran ({before.params.get(key)!r} -> {now.get(key)!r}): "
                "the result belongs to the old value; run again"
            )
    for dep, stamps in before.stamps.items():
        path = Path(dep)
        # the same sizes and times are the same bytes: only what was touched is read twice
        if not path.exists() or (_stamps(path) != stamps and digest_of_path(path) != before.deps[dep]):
            raise ConfigError(f"{dep} changed while the stage ran: the result belongs to the old content; run again")


def digest_of(value: Any) -> str:
    """A digest of plain values that does not depend on the order of keys."""
    return hashlib.md5(json.dumps(value, sort_keys=True, default=str).encode(), usedforsecurity=False).hexdigest()


def digest_of_path(path: Path) -> str:
    """The md5 that DVC records for a file, or for a folder (without its `.dir` suffix)."""
    if path.is_file():
        with open(path, "rb") as file:
            return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
    entries = [{"md5": digest_of_path(file), "relpath": file.relative_to(path).as_posix()} for file in _files(path)]
    listing = json.dumps(sorted(entries, key=lambda entry: entry["relpath"]), sort_keys=True)
    return hashlib.md5(listing.encode(), usedforsecurity=False).hexdigest()


def _leaves(stage: StageEntry, params: Mapping[str, Any]) -> dict[str, Any]:
    leaves: dict[str, Any] = {}
    for key in stage.params:
        try:
            leaves.update(flatten({key: look_up(params, key)}))
        except KeyError:
            raise ConfigError(f"{key}: missing in params.yaml, and dvc.yaml lists it for {stage.address}") from None
    return leaves


def _files(folder: Path) -> list[Path]:
    found = []
    for parent, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if name not in IGNORED]
        found += [Path(parent, name) for name in names]
    return sorted(found)


def _stamps(path: Path) -> tuple[Stamp, ...]:
    files = [path] if path.is_file() else _files(path)
    stats = [(file, file.stat()) for file in files]
    return tuple((str(file), stat.st_size, stat.st_mtime_ns, stat.st_ino) for file, stat in stats)
