"""This workspace against results kept elsewhere: which outs are the same bytes, which numbers lie where seeds would put them.

What differs in its bytes alone is told, and fails nothing: trainings in bf16 differ between CPUs. Numbers decide.
"""

import hashlib
import io
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from dalle.config import ConfigError
from dalle.report.results import flattened
from harness.headline_values import Measured, of_stage, of_table
from harness.lineage import is_record
from harness.params import flatten
from harness.presets import differences
from harness.revisions import WORKSPACE, Revision, find_revisions
from harness.seeds import METRICS, SEEDS_FILE, read_seeds
from harness.spread import Limits, Seeds, is_fixed_count, limits_of, unknown_limit
from harness.variants import NOT_COMPARED

SAME, DIFFERENT, MISSING = "same", "different", "missing"  # of outs; metrics may be missing as well
EQUAL, WITHIN, BEYOND, OUTSIDE = "equal", "within", "beyond", "outside"
OF_THE_SEEDS = 1e-6  # relative: seeds.csv has nine digits


@dataclass(frozen=True, kw_only=True)
class Out:
    """A file or a folder that a stage made, by its digests here and there; None where it is missing."""

    path: str
    stage: str
    state: str
    here: str | None
    there: str | None


@dataclass(frozen=True, kw_only=True)
class Metric:
    """A number here and there, and what it was judged by; `limits` are None where no seeds say how much it varies."""

    key: str
    state: str
    why: str
    here: float | None
    there: float | None
    limits: Limits | None = None

    @property
    def deviations(self) -> float | None:
        """How many of the seeds' standard deviations lie between this number and their mean."""
        if self.here is None or self.limits is None or not self.limits.spread:
            return None
        return (self.here - self.limits.center) / self.limits.spread


@dataclass(frozen=True, kw_only=True)
class Verification:
    """All that was compared; `notes` are what a reader must know before the numbers."""

    against: str
    notes: tuple[str, ...]
    outs: tuple[Out, ...]
    metrics: tuple[Metric, ...]

    def failures(self, strict: bool = False) -> list[Metric | Out]:
        """What makes the verdict fail: missing or outside; when `strict` also beyond three standard deviations."""
        bad = {MISSING, OUTSIDE, *([BEYOND] if strict else [])}
        return [entry for entry in (*self.outs, *self.metrics) if entry.state in bad]


def verify(against: str) -> Verification:
    """The workspace against a git revision, or against a folder with dvc.lock and reports/metrics."""
    here, there = Revision(WORKSPACE, None), _reference(against)
    if not here.lock or not any(Path("runs").glob("*.json")):
        raise ConfigError("nothing has run in this folder: the results in it are the committed ones; run 'dvc repro' first")
    seeds, notes = _seeds(here, there)
    outs = tuple(_outs(here, there))
    mine, broken = _numbers(here)
    theirs, broken_there = _numbers(there)
    stale = _left_behind(theirs, seeds) if there.read(SEEDS_FILE.as_posix()) else set()
    if stale:
        notes.append(f"{SEEDS_FILE} of {there.name} was measured on other results than it has now ({len(stale)} of them)")
    known = {key: some for key, some in seeds.items() if key not in stale}
    return Verification(
        against=there.name if there.commit is None else f"{there.name}, commit {there.commit[:10]}",
        notes=(*_params_notes(here, there), *broken, *broken_there, *notes),
        outs=outs,
        metrics=tuple(_judged(mine, theirs, known)),
    )


def _reference(against: str) -> Revision:
    folder = Path(against)
    if not folder.is_dir():
        return find_revisions([against])[0]
    if not (folder / "dvc.lock").is_file():
        raise ConfigError(f"--against {against}: this folder has no dvc.lock: give a project that has run, or a git revision")
    return Revision(against, None, folder=folder)


def _params_notes(here: Revision, there: Revision) -> Iterator[str]:
    """A line for each parameter that differs: then other numbers are to be expected."""
    pair = [{k: v for k, v in flatten(one.params).items() if k.partition(".")[0] != NOT_COMPARED} for one in (there, here)]
    yield from (f"params.yaml differs: {line}" for line in differences(*pair))


def _outs(here: Revision, there: Revision) -> Iterator[Out]:
    """Every out of both locks but the runs' own records, which hold times."""
    mine, theirs = _digests(here), _digests(there)
    for path in dict.fromkeys([*theirs, *mine]):
        (stage, there_md5), (my_stage, here_md5) = theirs.get(path, ("", None)), mine.get(path, ("", None))
        if path in mine and not Path(path).exists():
            here_md5 = None
        state = MISSING if None in (here_md5, there_md5) else SAME if here_md5 == there_md5 else DIFFERENT
        yield Out(path=path, stage=stage or my_stage, state=state, here=here_md5, there=there_md5)


def _digests(revision: Revision) -> dict[str, tuple[str, str | None]]:
    outs = [(out, stage) for stage, entry in revision.lock.items() for out in entry.get("outs") or []]
    return {out["path"]: (stage, out.get("md5")) for out, stage in outs if not is_record(out["path"])}


def _numbers(revision: Revision) -> tuple[dict[str, Measured], list[str]]:
    """Every headline number that the stages of the lock left, and a line for each file that is not what its stage wrote."""
    found: dict[str, Measured] = {}
    broken = []
    for path, (stage, md5) in _digests(revision).items():
        if not path.startswith(METRICS):
            continue
        content = revision.read(path)
        if content is None or (md5 and hashlib.md5(content, usedforsecurity=False).hexdigest() != md5):
            state = "is missing" if content is None else f"is not what {stage} wrote"
            broken.append(f"{path} of {revision.name} {state}: its numbers are left out; 'dvc repro {stage}' makes it anew")
            continue
        found |= _read(path, content, revision.name)
    return found, broken


def _read(path: str, content: bytes, name: str) -> Iterator[tuple[str, Measured]]:
    label = Path(path).stem
    if path.endswith(".csv"):
        return of_table(label, pd.read_csv(io.BytesIO(content)))
    try:
        return of_stage(label, flattened(json.loads(content)))
    except (ValueError, AttributeError):
        raise ConfigError(f"{name}:{path}: expected a JSON object of metrics") from None


def _seeds(here: Revision, there: Revision) -> tuple[dict[str, Seeds], list[str]]:
    """The seeds' values: the reference's own, else the workspace's."""
    for revision in (there, here):
        content = revision.read(SEEDS_FILE.as_posix())
        if content is not None:
            return read_seeds(content.decode(), f"{revision.name}:{SEEDS_FILE}"), []
    return {}, [f"neither side has {SEEDS_FILE} ('dalle seeds 3' makes it): how much numbers vary is unknown"]


def _left_behind(theirs: Mapping[str, Measured], seeds: Mapping[str, Seeds]) -> set[str]:
    """The keys whose number is none of those that seeds.csv has, though one of its seeds is the committed run."""
    return {
        key
        for key, some in seeds.items()
        if key in theirs and not any(math.isclose(theirs[key].value, v, rel_tol=OF_THE_SEEDS) for v in some.values)
    }


def _judged(mine: Mapping[str, Measured], theirs: Mapping[str, Measured], seeds: Mapping[str, Seeds]) -> Iterator[Metric]:
    limits = limits_of(theirs, seeds)
    for key in sorted({*mine, *theirs}):
        here, there = mine.get(key), theirs.get(key)
        if here is None or there is None:
            why = "not in this workspace" if here is None else "not in what it is compared with"
            yield _metric(key, here, there, MISSING, why)
        elif here.value == there.value:
            yield _metric(key, here, there, EQUAL, "", limits.get(key))
        else:
            yield _apart(key, here, there, limits.get(key), seeds.get(key))


def _apart(key: str, here: Measured, there: Measured, limits: Limits | None, seeds: Seeds | None) -> Metric:
    """A number that is not the same."""
    if limits is None:
        center = there.value if seeds is None else seeds.mean
        is_count = here.is_count and there.is_count and (seeds is None or is_fixed_count(there, seeds))
        limit = 0.0 if is_count else unknown_limit(center)
        why = "a count, which must be equal" if is_count else f"spread unknown: may move by {limit:.2g}"
        return _metric(key, here, there, WITHIN if abs(here.value - center) <= limit else OUTSIDE, why)
    distance = abs(here.value - limits.center)
    if distance <= limits.within:
        return _metric(key, here, there, WITHIN, "", limits)
    if distance <= limits.outside:
        why = f"as far as one of so many numbers from {limits.num_seeds} seeds may lie"
        return _metric(key, here, there, BEYOND, why, limits)
    return _metric(key, here, there, OUTSIDE, f"further than {limits.num_seeds} seeds explain", limits)


def _metric(
    key: str, here: Measured | None, there: Measured | None, state: str, why: str, limits: Limits | None = None
) -> Metric:
    values = [None if measured is None else measured.value for measured in (here, there)]
    return Metric(key=key, state=state, why=why, here=values[0], there=values[1], limits=limits)


def as_mapping(found: Verification, strict: bool) -> dict[str, Any]:
    """What `--json` writes; reports/docs/reproducibility.md says what each key means."""
    return {
        "schema": 1,
        "against": found.against,
        "passed": not found.failures(strict),
        "strict": strict,
        "notes": list(found.notes),
        "outs": {"counts": counts(found.outs), "entries": [vars(out) for out in found.outs]},
        "metrics": {"counts": counts(found.metrics), "entries": [_entry(metric) for metric in found.metrics]},
    }


def _entry(metric: Metric) -> dict[str, Any]:
    limits = metric.limits
    return {
        "key": metric.key,
        "state": metric.state,
        "why": metric.why,
        "here": metric.here,
        "there": metric.there,
        "deviations": metric.deviations,
        "seeds": None
        if limits is None
        else {
            "mean": limits.center,
            "spread": limits.spread,
            "num_seeds": limits.num_seeds,
            "within": limits.within,
            "outside": limits.outside,
        },
    }


def counts(entries: Sequence[Out] | Sequence[Metric]) -> dict[str, int]:
    """How many entries there are in each state."""
    states = [entry.state for entry in entries]
    return {state: states.count(state) for state in dict.fromkeys(states)}
