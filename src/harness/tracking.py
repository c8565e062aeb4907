"""MLflow, and nothing else knows it: what a journal says of a run becomes a run there, once, however often it is sent."""

import logging
import os
import socket
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from dalle.config import ConfigError
from harness.journal import FOLDER, tracking_uri
from harness.locks import hold
from harness.params import as_text
from harness.tracker import RunFacts, Status

MAX_PARAMS, MAX_METRICS, MAX_PARAM_LENGTH, MAX_TAG_LENGTH = 100, 1000, 6000, 8000  # MLflow's limits a call or a value
RUN_TAG = "run"  # our name of a run: MLflow's id is its server's to choose

Point = tuple[int, int, Mapping[str, float]]  # step, timestamp in ms, metrics


class MlflowRun:
    """A run on the server; what is sent again has no effect, so a sender may begin anew at any time.

    But for a picture whose sending was answered by silence: it may be there twice.
    """

    def __init__(self, client: Any, facts: RunFacts, root: Path, at: int) -> None:
        self._client = client
        experiment = _experiment(client, facts.experiment, root)
        found = find_run(client, facts.run, [experiment])
        if found is None:
            tags = {RUN_TAG: facts.run, "dvc.stage": facts.stage, "workspace": workspace(root)}
            found = client.create_run(experiment, run_name=facts.name, start_time=at, tags=tags)
        self.run_id: str = found.info.run_id
        self._sent = {key: self._last_step(key) for key in found.data.metrics}
        # an attempt that is sent late must not undo what a later one has said
        self._superseded = int(found.data.tags.get("resumed", "0")) > facts.attempt
        if found.info.status != "RUNNING" and not self._superseded:
            client.update_run(self.run_id, status="RUNNING")
        self._describe(facts, set(found.data.params), bool(found.inputs and found.inputs.dataset_inputs))
        self._monitor = _system_monitor(self.run_id, client) if facts.system_metrics else None

    def send(self, points: Sequence[Point]) -> None:
        """Log what the server does not have: MLflow keeps both of two equal points, and deletes none."""
        from mlflow.entities import Metric

        metrics = []
        for step, at, point in points:
            for key, value in point.items():
                if step > self._sent.get(key, -1):
                    metrics.append(Metric(key, value, at, step))
                    self._sent[key] = step
        for batch in _batches(metrics, MAX_METRICS):
            self._client.log_batch(self.run_id, metrics=batch)

    def image(self, name: str, step: int, file: Path, at: int) -> None:
        """Log a PNG and delete it; one that is gone was sent before, one that is broken (a power cut) cannot be."""
        try:
            with Image.open(file) as image:
                pixels = np.asarray(image.convert("RGB"))
        except OSError:
            return
        self._client.log_image(self.run_id, pixels, key=name, step=step, timestamp=at, synchronous=True)
        file.unlink()

    def text(self, name: str, content: str) -> None:
        self._client.log_text(self.run_id, content, name)

    def end(self, status: Status, at: int) -> None:
        self.stop_monitor()
        if not self._superseded:
            self._client.set_terminated(self.run_id, status, end_time=at)

    def stop_monitor(self) -> None:
        if self._monitor is not None:
            self._monitor.finish()
            self._monitor = None

    def _last_step(self, key: str) -> int:
        return max(metric.step for metric in self._client.get_metric_history(self.run_id, key))

    def _describe(self, facts: RunFacts, known_params: set[str], has_inputs: bool) -> None:
        from mlflow.entities import Dataset, DatasetInput, Param, RunTag

        tags = {**facts.tags, **({"resumed": str(facts.attempt)} if facts.attempt and not self._superseded else {})}
        for label, run in facts.upstream.items():
            found = find_run(self._client, run) if run else None
            tags[f"upstream.{label}"] = found.info.run_id if found else run or "not tracked"
        self._client.log_batch(self.run_id, tags=[RunTag(key, str(value)[:MAX_TAG_LENGTH]) for key, value in tags.items()])
        params = {key: as_text(value)[:MAX_PARAM_LENGTH] for key, value in facts.params.items() if key not in known_params}
        for batch in _batches([Param(key, value) for key, value in params.items()], MAX_PARAMS):
            self._client.log_batch(self.run_id, params=batch)
        if facts.datasets and not has_inputs:
            inputs = [DatasetInput(Dataset(path, digest, "local", path)) for path, digest in facts.datasets]
            self._client.log_inputs(self.run_id, inputs)


def connect(root: Path, uri: str | None = None) -> Any:
    """An `MlflowClient` for `uri`, or for what a workspace uses now; creates the database where there is none."""
    uri = uri or tracking_uri(root)
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    os.environ.setdefault("GIT_PYTHON_REFRESH", "quiet")
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")  # the default of 7 waits for minutes
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "20")
    try:
        from mlflow import MlflowClient
    except ImportError as error:
        raise ConfigError(f"MLflow is not installed: {error}") from None
    for name in ("alembic", "mlflow.store.db.utils", "mlflow.system_metrics"):
        logging.getLogger(name).setLevel(logging.WARNING)
    client = MlflowClient(uri)
    if not uri.startswith("sqlite:///"):
        return client
    # two processes that create one new database at once destroy each other's tables
    with hold(root / FOLDER / "database.lock", what="the opening of MLflow's database", wait=True):
        client.search_experiments(max_results=1)
        # readers (mlflow ui) and the uploader then do not block each other; the setting stays in the file
        with (
            closing(sqlite3.connect(uri.removeprefix("sqlite:///").partition("?")[0], timeout=20)) as database,
            suppress(sqlite3.OperationalError),  # read-only, or a network's file system
        ):
            database.execute("PRAGMA journal_mode=WAL")
    return client


def find_run(client: Any, run: str, experiments: Sequence[str] | None = None) -> Any | None:
    """The MLflow run of one of our runs, or None where this server does not have it."""
    if experiments is None:
        experiments = [experiment.experiment_id for experiment in client.search_experiments()]
    found = client.search_runs(experiments, f"tags.{RUN_TAG} = '{run}'", max_results=1)
    return found[0] if found else None


def known_runs(root: Path, runs: Sequence[str]) -> dict[str, str]:
    """`MLflow's id STATUS` of each of our runs that the server has."""
    if not runs:
        return {}
    client = connect(root)
    found = {run: find_run(client, run) for run in runs}
    return {run: f"{there.info.run_id} {there.info.status}" for run, there in found.items() if there}


def close_stale_runs(client: Any, root: Path, kept: set[str]) -> None:
    """Mark the runs of this folder that are shown as RUNNING, but have no journal (are not in `kept`), as KILLED."""
    experiments = [experiment.experiment_id for experiment in client.search_experiments()]
    condition = f"attributes.status = 'RUNNING' and tags.workspace = '{workspace(root)}'"
    for run in client.search_runs(experiments, condition):
        if run.data.tags.get(RUN_TAG) not in kept:
            client.set_terminated(run.info.run_id, "KILLED")


def workspace(root: Path) -> str:
    """On a shared server only the runs of this folder on this machine are ours to close."""
    return f"{socket.gethostname()}:{root}".replace("'", "_")


def finished_runs(client: Any, experiment_name: str, stage: str) -> list[dict[str, Any]]:
    """Runs of a stage (`sample@coco`) that ended well, oldest first, as plain values; params are text."""
    experiment = client.get_experiment_by_name(experiment_name)
    if experiment is None:
        return []
    ended = f"tags.`dvc.stage` = '{stage}' and attributes.status = 'FINISHED'"
    found = client.search_runs([experiment.experiment_id], ended, max_results=5000, order_by=["attributes.start_time ASC"])
    return [
        {
            "run_id": run.info.run_id,
            "name": run.info.run_name,
            "params": dict(run.data.params),
            "metrics": dict(run.data.metrics),
            "inputs": {used.dataset.name: used.dataset.digest for used in run.inputs.dataset_inputs},
        }
        for run in found
    ]


def metric_history(client: Any, run_id: str, key: str) -> dict[int, float]:
    """A run's curve by step; of a step that was reported twice the last value."""
    return {point.step: point.value for point in client.get_metric_history(run_id, key)}


def _experiment(client: Any, name: str, root: Path) -> str:
    found = client.get_experiment_by_name(name)
    if found and found.lifecycle_stage == "deleted":
        raise ConfigError(f"MLflow's experiment '{name}' was deleted: restore it there, or give run.experiment another name")
    if found:
        return found.experiment_id
    local = (root / "mlruns").as_uri() if client.tracking_uri.startswith("sqlite:") else None
    return client.create_experiment(name, artifact_location=local)


def _system_monitor(run_id: str, client: Any) -> Any:
    """MLflow's own monitor: what it measures is the whole machine, so it may run beside the stage."""
    from mlflow.system_metrics.system_metrics_monitor import SystemMetricsMonitor

    monitor = SystemMetricsMonitor(run_id, resume_logging=True, tracking_uri=client.tracking_uri)
    monitor.start()
    return monitor


def _batches(items: list[Any], size: int) -> Iterator[list[Any]]:
    return (items[start : start + size] for start in range(0, len(items), size))
