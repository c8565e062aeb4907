"""MLflow, and nothing else knows it: one run a stage, with an explicit end, continued when the stage is.

A training never dies of tracking: whatever goes wrong here becomes one warning line, and the local curves go on.
"""

import logging
import os
import socket
import sqlite3
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from dalle.config import ConfigError
from harness.locks import hold
from harness.params import as_text
from harness.run_config import RunConfig
from harness.tracker import RunFacts, Status, Tracker

FLUSH_POINTS = 50
FLUSH_SECONDS = 5.0
MAX_PARAMS, MAX_METRICS, MAX_PARAM_LENGTH, MAX_TAG_LENGTH = 100, 1000, 6000, 8000  # MLflow's limits a call or a value


class MlflowTracker(Tracker):
    """One MLflow run; metrics are buffered because a call costs milliseconds and a batch costs the same."""

    def __init__(self, client: Any, run_id: str) -> None:
        self.run_id: str = run_id
        self._client, self._broken = client, False
        self._buffer: list[tuple[int, int, dict[str, float]]] = []  # step, timestamp in ms, metrics
        self._last_sent: dict[str, int] = {}
        self._flushed_at = time.monotonic()
        self._monitor: Any = None

    def metrics(self, step: int, metrics: Mapping[str, float]) -> None:
        new = {key: float(value) for key, value in metrics.items() if step > self._last_sent.get(key, -1)}
        if new and not self._broken:
            self._buffer.append((step, int(time.time() * 1000), new))
        if len(self._buffer) >= FLUSH_POINTS or time.monotonic() - self._flushed_at > FLUSH_SECONDS:
            self.flush()

    def image(self, name: str, step: int, image: np.ndarray) -> None:
        self._try(self._client.log_image, self.run_id, image, key=name, step=step, synchronous=True)

    def resume(self) -> None:
        self._try(self._read_last_sent)

    def flush(self) -> None:
        buffer, self._buffer, self._flushed_at = self._buffer, [], time.monotonic()
        if buffer:
            self._try(self._send, buffer)

    def text(self, name: str, content: str) -> None:
        self._try(self._client.log_text, self.run_id, content, name)

    def end(self, status: Status) -> None:
        self.flush()
        if self._monitor is not None:
            self._try(self._monitor.finish)
        self._broken = False  # one last try: a run that stays RUNNING misleads for ever
        self._try(self._client.set_terminated, self.run_id, status)

    def describe(self, facts: RunFacts, resumed: int) -> None:
        """Tags always; params and inputs once, because MLflow refuses to log a param again."""
        from mlflow.entities import Dataset, DatasetInput, Param, RunTag

        tags = [RunTag(key, str(value)[:MAX_TAG_LENGTH]) for key, value in facts.tags.items()]
        if resumed:
            tags.append(RunTag("resumed", str(resumed)))
        self._client.log_batch(self.run_id, tags=tags)
        if resumed:
            return
        params = [Param(key, as_text(value)[:MAX_PARAM_LENGTH]) for key, value in facts.params.items()]
        for batch in _batches(params, MAX_PARAMS):
            self._client.log_batch(self.run_id, params=batch)
        inputs = [DatasetInput(Dataset(path, digest, "local", path)) for path, digest in facts.datasets]
        if inputs:
            self._client.log_inputs(self.run_id, inputs)

    def monitor_system(self, uri: str) -> None:
        from mlflow.system_metrics.system_metrics_monitor import SystemMetricsMonitor

        self._monitor = SystemMetricsMonitor(self.run_id, resume_logging=True, tracking_uri=uri)
        self._monitor.start()

    def _send(self, buffer: list[tuple[int, int, dict[str, float]]]) -> None:
        from mlflow.entities import Metric

        metrics = [Metric(key, value, at, step) for step, at, point in buffer for key, value in point.items()]
        for batch in _batches(metrics, MAX_METRICS):
            self._client.log_batch(self.run_id, metrics=batch)

    def _read_last_sent(self) -> None:
        for key in self._client.get_run(self.run_id).data.metrics:
            self._last_sent[key] = max(metric.step for metric in self._client.get_metric_history(self.run_id, key))

    def _try(self, call: Callable[..., Any], *arguments: Any, **options: Any) -> None:
        if self._broken:
            return
        try:
            call(*arguments, **options)
        except Exception as error:
            self._broken = True
            _warn(f"MLflow failed ({_first_line(error)}): this run goes on with its local curves only")


def open_tracker(config: RunConfig, root: Path, facts: RunFacts, is_alive: Callable[[str, str], bool]) -> Tracker:
    """A tracker for a starting stage: continues the run that has the same stage and key and never finished.

    `is_alive(stage, key)` tells whether a process still works on that key; other runs of the stage that are shown as
    RUNNING in this folder are marked KILLED. Switched off or out of reach, the tracker is one that keeps nothing.
    """
    if not config.tracking or os.environ.get("MLFLOW_OFF", "0") not in ("", "0"):
        _warn("tracking is off: curves go to reports/curves only")
        return Tracker()
    try:
        with _first_open_lock(root):
            client = connect(root)
            experiment = _experiment(client, config.experiment, root)
            close_stale_runs(client, experiment, root, is_alive, stage=facts.stage)
            tracker = _continued(client, experiment, facts) or _created(client, experiment, root, facts)
            if config.system_metrics:
                tracker.monitor_system(tracking_uri(root))
        return tracker
    except Exception as error:
        _warn(f"MLflow cannot be used ({_first_line(error)}): curves go to reports/curves only")
        return Tracker()


def tracking_uri(root: Path) -> str:
    """$MLFLOW_TRACKING_URI, or a database in the workspace: a queued experiment's working directory is deleted."""
    return os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{root / 'mlflow.db'}"


def connect(root: Path) -> Any:
    """An `MlflowClient`; the settings must be in the environment before the first import."""
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
    uri = tracking_uri(root)
    client = MlflowClient(uri)
    client.search_experiments(max_results=1)  # creates the database where there is none
    if uri.startswith("sqlite:///"):
        # readers (mlflow ui) and several stages then do not block each other; the setting stays in the file
        with closing(sqlite3.connect(uri.removeprefix("sqlite:///").partition("?")[0], timeout=20)) as database:
            database.execute("PRAGMA journal_mode=WAL")
    return client


def close_stale_runs(
    client: Any, experiment: str, root: Path, is_alive: Callable[[str, str], bool], stage: str | None = None
) -> list[Any]:
    """Mark the runs of this folder that are shown as RUNNING without a living process as KILLED, and return them."""
    conditions = ["attributes.status = 'RUNNING'", f"tags.workspace = '{_workspace(root)}'"]
    if stage is not None:
        conditions.append(f"tags.`dvc.stage` = '{stage}'")
    runs = client.search_runs([experiment], " and ".join(conditions))
    stale = [run for run in runs if not is_alive(run.data.tags["dvc.stage"], run.data.tags["checkpoint.key"])]
    for run in stale:
        client.set_terminated(run.info.run_id, "KILLED")
    return stale


def run_statuses(client: Any, run_ids: Sequence[str]) -> dict[str, str]:
    """Status by run id; 'unknown' for a run that this server does not have."""
    from mlflow.exceptions import MlflowException

    statuses = {}
    for run_id in run_ids:
        try:
            statuses[run_id] = client.get_run(run_id).info.status
        except MlflowException:
            statuses[run_id] = "unknown"
    return statuses


def experiment_id(client: Any, name: str) -> str | None:
    found = client.get_experiment_by_name(name)
    return found.experiment_id if found else None


def _experiment(client: Any, name: str, root: Path) -> str:
    local = tracking_uri(root).startswith("sqlite:")
    location = (root / "mlruns").as_uri() if local else None
    return experiment_id(client, name) or client.create_experiment(name, artifact_location=location)


def _continued(client: Any, experiment: str, facts: RunFacts) -> MlflowTracker | None:
    found = client.search_runs(
        [experiment],
        f"tags.`dvc.stage` = '{facts.stage}' and tags.`checkpoint.key` = '{facts.key}' and attributes.status != 'FINISHED'",
        max_results=1,
        order_by=["attributes.start_time DESC"],
    )
    if not found:
        return None
    run = found[0]
    client.update_run(run.info.run_id, status="RUNNING")
    tracker = MlflowTracker(client, run.info.run_id)
    tracker.describe(facts, resumed=int(run.data.tags.get("resumed", "0")) + 1)
    return tracker


def _created(client: Any, experiment: str, root: Path, facts: RunFacts) -> MlflowTracker:
    tags = {"dvc.stage": facts.stage, "checkpoint.key": facts.key, "workspace": _workspace(root)}
    run = client.create_run(experiment, run_name=facts.name, tags=tags)
    tracker = MlflowTracker(client, run.info.run_id)
    tracker.describe(facts, resumed=0)
    return tracker


@contextmanager
def _first_open_lock(root: Path) -> Iterator[None]:
    """Several processes that create one new database at once destroy each other's tables."""
    with hold(root / ".checkpoints" / "mlflow.lock", what="the opening of the MLflow database", wait=True):
        yield


def _workspace(root: Path) -> str:
    """On a shared server only the runs of this folder on this machine are ours to close."""
    return f"{socket.gethostname()}:{root}".replace("'", "_")


def _batches(items: list[Any], size: int) -> Iterator[list[Any]]:
    return (items[start : start + size] for start in range(0, len(items), size))


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:200]


def _warn(message: str) -> None:
    print(f"WARNING: {message}", file=sys.stderr)
