"""What every script in stages/ runs in: checked inputs, a resumable log and checkpoint, whole outputs, a tracked run."""

import dataclasses
import math
import os
import shutil
import sys
import time
import uuid
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import torch

from dalle.config import ConfigError
from dalle.training.checkpoint import Checkpoint
from dalle.training.loop import RunOptions
from harness.curves import Curves
from harness.failures import exit_code_of, stop_signals_interrupt
from harness.fingerprint import Fingerprint, digest_of, take_fingerprint, verify_unchanged
from harness.hardware import configure_torch
from harness.journal import open_journal
from harness.lineage import (
    RunRecord,
    all_params,
    git_refusal,
    git_state,
    is_code,
    upstream_runs,
    workspace_root,
    write_record,
)
from harness.locks import hold
from harness.machine import describe_machine
from harness.outputs import metrics_text, written_whole
from harness.params import build_params, read_yaml
from harness.pipeline import StageEntry, find_stage, read_pipeline, upstream_stages
from harness.tracker import RunFacts, Tracker, recorded
from harness.uploader import start_uploader

if TYPE_CHECKING:
    from harness.params_tree import Params

CHECKPOINTS = Path(".checkpoints")
NUM_SHOWN = 5  # metrics in the line a finished stage prints


class Stage:
    """A running stage: paths are relative to the working directory, `root` is the workspace even in a queued experiment.

    `params` is the whole validated tree; `scratch` survives a kill and is deleted, with the checkpoint, by `finish`.
    """

    def __init__(
        self,
        entry: StageEntry,
        *,
        root: Path,
        params: "Params",
        device: str,
        fingerprint: Fingerprint,
        tracker: Tracker,
        record: RunRecord,
    ) -> None:
        self.name, self.item, self.root, self.params = entry.name, entry.item, root, params
        self.finished = False
        self._entry, self._fingerprint, self._tracker, self._record = entry, fingerprint, tracker, record
        self._folder = checkpoint_folder(root, entry.label, fingerprint.key)
        self._stopwatch = _Stopwatch(self._folder / "seconds")
        self._curves_file = Path("reports/curves", f"{entry.label}.csv")
        self._require_listed(Path("runs", f"{entry.label}.json"))
        self.checkpoint = Checkpoint(self._folder / "state.pt")
        self.log = Curves(
            self._folder / "curves.jsonl",
            tracker,
            before_first=lambda: self._require_listed(self._curves_file),
            on_flush=self._before_checkpoint,
        )
        self.options = RunOptions(
            device=device,
            data_workers=params.run.data_workers,
            log_every=params.run.log_every,
            checkpoint_seconds=params.run.checkpoint_seconds,
        )

    @property
    def scratch(self) -> Path:
        """A folder for intermediate files that a restarted stage may find again."""
        folder = self._folder / "scratch"
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def output(self, path: str | Path) -> AbstractContextManager[Path]:
        """A context manager that yields where to write `path`, a file or a folder listed in dvc.yaml (see `written_whole`)."""
        self._require_listed(Path(path))
        return written_whole(Path(path))

    def throughput(self, **rates: float) -> None:
        """Report speeds such as `images_per_second`: to runs/ and MLflow, never to the metrics; nan is left out."""
        self._record.throughput.update({name: float(f"{rate:.4g}") for name, rate in rates.items() if math.isfinite(rate)})

    def finish(self, metrics: Mapping[str, Any]) -> None:
        """Write metrics, curves and the run's record; the last call of every stage, which fails if its inputs have moved."""
        assert not self.finished, "finish is called once"
        text = metrics_text(metrics)
        verify_unchanged(self._entry, self._fingerprint)
        label, points = self._entry.label, self.log.points()
        if metrics:
            with self.output(f"reports/metrics/{label}.json") as path:
                path.write_text(text)
        if points:
            with self.output(self._curves_file) as path:
                self.log.export(path)
        last = max(points, default=0)
        final = {**metrics, **{f"throughput/{name}": rate for name, rate in self._record.throughput.items()}}
        self._tracker.metrics(last, {key: value for key, value in final.items() if key not in points.get(last, {})})
        record = dataclasses.replace(self._record, seconds=round(self._stopwatch.seconds, 2))
        with self.output(f"runs/{label}.json") as path:
            write_record(record, path)
        self.finished = True
        shown = ", ".join(f"{key} {value:.6g}" for key, value in list(metrics.items())[:NUM_SHOWN])
        print(f"{self._entry.address}: done in {record.seconds:.1f} s" + (f", {shown}" if shown else ""))
        if record.commit is None:
            why = git_refusal("rev-parse", "--verify", "HEAD") or "git did not say when the run began"
            text = f"this run records no commit, so its code is not known: {why}"
            print(f"WARNING: {self._entry.address}: {text}", file=sys.stderr)

    def close(self) -> None:
        """Delete checkpoint and scratch: called by `run_stage` when all is recorded."""
        self.log.close()
        done = self._folder.with_name(f".done-{self._folder.name}")
        shutil.rmtree(done, ignore_errors=True)  # of a process killed right here
        try:
            self._folder.rename(done)  # a checkpoint that is half deleted would be resumed without its curves
        except OSError as error:
            print(f"WARNING: {self._folder} cannot be removed ({error}): the same stage would resume from it", file=sys.stderr)
        shutil.rmtree(done, ignore_errors=True)

    def _before_checkpoint(self) -> None:
        self._stopwatch.save()
        if self._tracker.run is not None:
            start_uploader(self.root)  # where the last one was killed

    def _require_listed(self, path: Path) -> None:
        if not self._entry.writes(path.as_posix()):
            raise ConfigError(f"{path}: {self._entry.address} writes it, but dvc.yaml does not list it among the stage's outs")


def run_stage(main: Callable[[Stage], None], tree: type | None = None) -> NoReturn:
    """Run a stage's script: `run_stage(main)` under `if __name__ == "__main__"`; the item is the script's argument."""
    name = Path(sys.argv[0]).stem
    sys.exit(execute(main, name, sys.argv[1:], tree))


def execute(main: Callable[[Stage], None], name: str, arguments: list[str], tree: type | None = None) -> int:
    """What `run_stage` does, as an exit code: 0, 2 (an error to mend), 130 (stopped), 1 (a crash)."""

    def work() -> None:
        with stop_signals_interrupt():
            if len(arguments) > 1:
                raise ConfigError(f"expected at most one item, got {' '.join(arguments)}")
            _run(main, name, arguments[0] if arguments else None, tree)

    return exit_code_of("@".join([name, *arguments[:1]]), work)


def checkpoint_folder(root: Path, label: str, key: str) -> Path:
    return root / CHECKPOINTS / label / key


def _run(main: Callable[[Stage], None], name: str, item: str | None, tree: type | None) -> None:
    root = workspace_root()
    raw = read_yaml(Path("params.yaml"))
    params = build_params(raw, tree)
    pipeline = read_pipeline(Path("dvc.yaml"), raw)
    entry = find_stage(pipeline, name, item)
    device = configure_torch(params.run)
    # two locks: one for the files here, one for the checkpoint, which a queued experiment in another copy may share
    with hold(CHECKPOINTS / entry.label / "lock", what=entry.address, wait=False):
        fingerprint = take_fingerprint(entry, raw)
        folder = checkpoint_folder(root, entry.label, fingerprint.key)
        with hold(folder / "lock", what=entry.address, wait=root != Path.cwd().resolve()):
            facts, record = _origin(entry, pipeline, raw, fingerprint, folder, device)
            tracker = open_journal(params.run, root, facts)
            if tracker.run is not None:
                start_uploader(root)
            with recorded(tracker):
                stage = Stage(
                    entry,
                    root=root,
                    params=params,
                    device=device,
                    fingerprint=fingerprint,
                    tracker=tracker,
                    record=dataclasses.replace(record, run=tracker.run),
                )
                main(stage)
                assert stage.finished, "main(stage) must end with stage.finish(metrics)"
            stage.close()


def _origin(
    entry: StageEntry,
    pipeline: tuple[StageEntry, ...],
    raw: Mapping[str, Any],
    fingerprint: Fingerprint,
    folder: Path,
    device: str,
) -> tuple[RunFacts, RunRecord]:
    """What the run is made from, for the tracker and for `runs/`."""
    commit, dirty = git_state()
    experiment = os.environ.get("DVC_EXP_NAME")
    run, attempt = _run_and_attempt(folder / "run")
    upstream = upstream_runs(upstream_stages(pipeline, entry))
    machine = describe_machine(device)
    data = {dep: digest for dep, digest in fingerprint.deps.items() if not is_code(dep)}
    tags = {
        "mlflow.source.git.commit": commit,
        "git.dirty": commit and ("unknown" if dirty is None else str(dirty).lower()),
        "dvc.exp_name": experiment,
        "dvc.exp_baseline": os.environ.get("DVC_EXP_BASELINE_REV"),
        "checkpoint.key": fingerprint.key,
        "pipeline.config": digest_of({key: value for key, value in raw.items() if key != "run"})[:12],
        "mlflow.source.name": f"stages/{entry.name}.py",
        "mlflow.source.type": "LOCAL",
        "run.device": device,
        "run.threads": str(torch.get_num_threads()),
        "torch": str(torch.__version__),
        **{f"machine.{name}": value for name, value in machine.items()},
    }
    facts = RunFacts(
        run=run,
        attempt=attempt,
        stage=entry.address,
        name=entry.address.replace("@", ":") + (f" ({experiment})" if experiment else ""),
        experiment=raw["run"]["experiment"],
        params=all_params(pipeline, entry, fingerprint.params),
        tags={key: value for key, value in tags.items() if value},
        upstream=upstream,
        datasets=list(data.items()),
        system_metrics=raw["run"]["system_metrics"],
    )
    record = RunRecord(
        stage=entry.address,
        run=run,
        params=fingerprint.params,
        data=data,
        upstream=upstream,
        commit=commit,
        dirty=dirty,
        seconds=0.0,
        throughput={},
        machine=machine,
    )
    return facts, record


def _run_and_attempt(file: Path) -> tuple[str, int]:
    """The run that works under a checkpoint's key, and how often it was begun before; this attempt is counted."""
    try:
        run, attempts = file.read_text().split()
    except (FileNotFoundError, ValueError):
        run, attempts = uuid.uuid4().hex, "0"
    with written_whole(file) as path:
        path.write_text(f"{run} {int(attempts) + 1}\n")
    return run, int(attempts)


class _Stopwatch:
    """Seconds of work, summed over the attempts of a resumed stage up to their last checkpoints."""

    def __init__(self, path: Path) -> None:
        self._path, self._start = path, time.monotonic()
        self._before = float(path.read_text()) if path.exists() else 0.0

    @property
    def seconds(self) -> float:
        return self._before + time.monotonic() - self._start

    def save(self) -> None:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._path.write_text(f"{self.seconds:.3f}")
