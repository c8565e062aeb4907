"""Which run made what: `runs/STAGE[-ITEM].json` beside the outs, and the commit the code came from."""

import json
import subprocess
from dataclasses import asdict, dataclass
from pathlib import Path

from harness.pipeline import StageEntry

CODE_PATHS = ("src", "stages", "dvc.yaml")  # not dvc.lock: DVC rewrites it after every stage


@dataclass(frozen=True, kw_only=True)
class RunRecord:
    """The MLflow run behind a stage's outs (None: tracking was off) and how long they took."""

    stage: str
    run_id: str | None
    seconds: float
    throughput: dict[str, float]
    upstream: dict[str, str | None]


def write_record(record: RunRecord, path: Path) -> None:
    path.write_text(json.dumps(asdict(record), indent=2) + "\n")


def read_record(stage: StageEntry, folder: Path = Path("runs")) -> RunRecord | None:
    """The record of the run that made the outs now on disk, or None; DVC restores it together with them."""
    try:
        return RunRecord(**json.loads((folder / f"{stage.label}.json").read_text()))
    except (FileNotFoundError, json.JSONDecodeError, TypeError):
        return None


def upstream_runs(stages: tuple[StageEntry, ...]) -> dict[str, str | None]:
    """Run ids of the stages that made this one's inputs, by label."""
    records = {stage.label: read_record(stage) for stage in stages}
    return {label: record.run_id for label, record in sorted(records.items()) if record is not None}


def git_tags() -> dict[str, str]:
    """The commit, and whether the code differs from it; empty where there is no git or no commit."""
    commit = _git("rev-parse", "HEAD")
    if not commit:
        return {}
    dirty = _git("status", "--porcelain", "--", *CODE_PATHS)
    return {"mlflow.source.git.commit": commit, "git.dirty": "unknown" if dirty is None else str(bool(dirty)).lower()}


def _git(*arguments: str) -> str | None:
    try:
        done = subprocess.run(["git", *arguments], capture_output=True, text=True, timeout=20)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None
