"""Which run made what: `runs/STAGE[-ITEM].json` beside the outs, and the commit the code came from."""

import json
import os
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from harness.pipeline import StageEntry, ancestors

CODE_PATHS = ("src", "stages", "presets", "dvc.yaml")  # not dvc.lock: DVC rewrites it after every stage


@dataclass(frozen=True, kw_only=True)
class RunRecord:
    """The run behind a stage's outs (None: tracking was off), what it was made from, and how long it took.

    `params` are the stage's own leaves of params.yaml, `data` the digests of the deps that are not code, `upstream` the
    runs that made those, by stage label; `machine` is what it ran on, see `describe_machine`; `commit` is None
    where there is no git, `dirty` where git would not say.
    """

    stage: str
    run: str | None
    params: dict[str, Any]
    data: dict[str, str]
    upstream: dict[str, str | None]
    commit: str | None
    dirty: bool | None
    seconds: float
    throughput: dict[str, float]
    machine: dict[str, str] = field(default_factory=dict)  # empty in records from before it was recorded


def workspace_root() -> Path:
    """The workspace, also from the temporary copy in which `dvc exp run --queue` runs a stage."""
    return Path(os.environ.get("DVC_ROOT") or Path.cwd()).resolve()


def write_record(record: RunRecord, path: Path) -> None:
    path.write_text(json.dumps(asdict(record), indent=2) + "\n")


def read_record(stage: StageEntry) -> RunRecord | None:
    """The record of the run that made the outs now on disk, or None; DVC restores it together with them."""
    try:
        return RunRecord(**json.loads(Path("runs", f"{stage.label}.json").read_text()))
    except (FileNotFoundError, json.JSONDecodeError, TypeError):
        return None


def is_code(dep: str) -> bool:
    """Whether a dep is part of the project: its content is known by the commit."""
    return dep.split("/")[0] in CODE_PATHS


def is_record(path: str) -> bool:
    """Whether an out is a stage's record, the only kind that may differ between two identical runs."""
    return path.startswith("runs/")


def upstream_runs(stages: Sequence[StageEntry]) -> dict[str, str | None]:
    """The runs of the stages that made this one's inputs, by label."""
    records = {stage.label: read_record(stage) for stage in stages}
    return {label: record.run for label, record in sorted(records.items()) if record is not None}


def all_params(pipeline: Sequence[StageEntry], stage: StageEntry, own: Mapping[str, Any]) -> dict[str, Any]:
    """Every parameter that the result of `stage` depends on: `own`, and what the stages before it recorded as used."""
    params: dict[str, Any] = {}
    for entry in ancestors(pipeline, stage):
        record = read_record(entry)
        params |= record.params if record else {}
    return {**params, **own}


def git_state() -> tuple[str | None, bool | None]:
    """The commit, and whether the code differs from it; None where git does not say."""
    commit = _git("rev-parse", "HEAD") or None
    dirty = _git("status", "--porcelain", "--", *CODE_PATHS) if commit else None
    return commit, None if dirty is None else bool(dirty)


def git_refusal(*arguments: str, folder: Path = Path()) -> str | None:
    """What git says in the place of an answer, in one line; None where it answers."""
    try:
        done = subprocess.run(["git", *arguments], capture_output=True, timeout=20, cwd=folder)
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"git cannot be run: {error}"
    said = " ".join(done.stderr.decode(errors="replace").split())
    return None if done.returncode == 0 else said or f"git ended with {done.returncode}"


def _git(*arguments: str) -> str | None:
    try:
        done = subprocess.run(["git", *arguments], capture_output=True, text=True, timeout=20)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None
