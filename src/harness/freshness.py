"""Which results of a revision are its own: `dvc exp run STAGE` leaves the baseline's metrics of all later stages in place.

Only dvc.lock, params.yaml and the result files of the revision decide, never what lies on the disk now. A stage is fresh if
it last ran with the parameters of params.yaml, on exactly what the stages before it made, and these are fresh themselves.
"""

import hashlib
from collections.abc import Iterator, Mapping
from functools import cached_property
from pathlib import PurePosixPath
from typing import Any

from harness.params import as_text, flatten, look_up
from harness.revisions import Revision

ABSENT = object()


class Freshness:
    """Why the results of a stage, named as in dvc.lock, are not those of `revision`; None where they are."""

    def __init__(self, revision: Revision) -> None:
        self._revision, self._lock = revision, revision.lock
        self._known: dict[str, str | None] = {}

    def why_stale(self, stage: str) -> str | None:
        """The root cause in one phrase, which names the stage that would have to run again first."""
        if stage not in self._known:
            self._known[stage] = None  # a circle in a hand-edited lock ends here
            self._known[stage] = self._cause(stage)
        return self._known[stage]

    def own_file(self, stage: str, path: str) -> bytes | str:
        """A result file of a fresh stage, or in words why there is none to show."""
        if (cause := self.why_stale(stage)) is not None:
            return cause
        recorded = _md5s(self._lock[stage], "outs").get(path)
        content = self._revision.read(path)
        if recorded is None or content is None:
            return f"{stage} left no {path}"
        if hashlib.md5(content, usedforsecurity=False).hexdigest() != recorded:
            return f"{path} is not what {stage} wrote"
        return content

    def _cause(self, stage: str) -> str | None:
        entry = self._lock.get(stage)
        if entry is None:
            return f"{stage} has not run"
        for writer in self._writers[stage]:
            if (cause := self.why_stale(writer)) is not None:
                return cause
        return self._changed_param(stage) or self._changed_input(stage) or self._mixed_code(stage)

    def _changed_param(self, stage: str) -> str | None:
        """The first leaf with which the stage ran and which its parameter file now gives another value."""
        for file, recorded in (self._lock[stage].get("params") or {}).items():
            now = self._revision.params if file == "params.yaml" else self._revision.mapping(file)
            for key, value in recorded.items():
                then, today = flatten({key: value}), flatten({key: _look_up(now, key)})
                for leaf in [*then, *(leaf for leaf in today if leaf not in then)]:
                    if not _same(then.get(leaf, ABSENT), today.get(leaf, ABSENT)):
                        return f"{stage} last ran with {leaf} = {_shown(then.get(leaf, ABSENT))}"
        return None

    def _changed_input(self, stage: str) -> str | None:
        for dep, digest in _md5s(self._lock[stage], "deps").items():
            for writer, out in self._makers(stage, dep):
                made = _md5s(self._lock[writer], "outs")[out]
                if dep == out and (digest is None or digest != made):
                    return f"{stage} last ran on another {dep} than {writer} made"
                if dep != out and self._ran_before(stage, writer, out):
                    return f"{stage} last ran before {writer} made this {out}"
        return None

    def _ran_before(self, stage: str, writer: str, out: str) -> bool:
        """Whether `out` has changed since `stage` ran, which the hash of a file inside (or a folder around) cannot tell.

        The commit that first recorded this run of `stage` also records the `out` of that time. Where only other files of
        the folder have changed since, DVC rightly skips the stage and this is too strict: better no number than a wrong one.
        """
        made = _md5s(self._lock[writer], "outs")[out]
        then = made
        for lock in self._revision.earlier_locks():
            if lock.get(stage) != self._lock[stage]:
                break
            then = _md5s(lock.get(writer) or {}, "outs").get(out)
        return then != made

    def _mixed_code(self, stage: str) -> str | None:
        """Two runs that a result rests on must have read the same of what both depend on: code, or data from outside."""
        mine = _md5s(self._lock[stage], "deps")
        for other in self._upstream(stage):
            for path, digest in _md5s(self._lock[other], "deps").items():
                if mine.get(path, digest) != digest:
                    return f"{other} and {stage} last ran with different {path}"
        return None

    def _upstream(self, stage: str) -> Iterator[str]:
        seen, waiting = {stage}, [*self._writers[stage]]
        while waiting:
            other = waiting.pop(0)
            if other not in seen:
                seen.add(other)
                waiting += self._writers[other]
                yield other

    @cached_property
    def _writers(self) -> dict[str, list[str]]:
        """For each stage those that made its inputs."""
        return {
            stage: list(dict.fromkeys(writer for dep in _md5s(entry, "deps") for writer, _ in self._makers(stage, dep)))
            for stage, entry in self._lock.items()
        }

    def _makers(self, stage: str, dep: str) -> Iterator[tuple[str, str]]:
        """Stages and their outs that are `dep`, lie inside it or hold it."""
        for other, entry in self._lock.items():
            for out in _md5s(entry, "outs") if other != stage else ():
                if _contains(out, dep) or _contains(dep, out):
                    yield other, out


def _md5s(entry: Mapping[str, Any], section: str) -> dict[str, str | None]:
    return {item["path"]: item.get("md5") for item in entry.get(section) or []}


def _look_up(values: Mapping[str, Any], key: str) -> Any:
    try:
        return look_up(values, key)
    except KeyError:
        return ABSENT


def _same(then: Any, now: Any) -> bool:
    """1 and 1.0 are one value, as for DVC; 1 and true are not."""
    return then is now or (then == now and isinstance(then, bool) == isinstance(now, bool))


def _shown(value: Any) -> str:
    return "nothing" if value is ABSENT else as_text(value)


def _contains(folder: str, path: str) -> bool:
    parts = PurePosixPath(folder).parts
    return PurePosixPath(path).parts[: len(parts)] == parts
