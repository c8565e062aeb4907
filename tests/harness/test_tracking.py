import shutil
import sqlite3
import sys
import warnings
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from harness.locks import hold
from harness.run_config import RunConfig
from harness.stage import execute, is_alive
from harness.tracker import RunFacts, Tracker
from harness.tracking import close_stale_runs, connect, open_tracker

RUN = RunConfig(
    experiment="toy",
    device="cpu",
    threads=1,
    data_workers=0,
    log_every=1,
    checkpoint_seconds=0.0,
    tracking=True,
    system_metrics=False,
)


def facts(stage: str = "train", key: str = "k1", **changes) -> RunFacts:
    values = {"name": stage, "params": {}, "tags": {}, "datasets": [], **changes}
    return RunFacts(stage=stage, key=key, **values)


def nobody(stage: str, key: str) -> bool:
    return False


@pytest.fixture
def root(tmp_path, empty_database, monkeypatch):
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.delenv("MLFLOW_OFF", raising=False)
    shutil.copy(empty_database, tmp_path / "mlflow.db")
    return tmp_path


def run_of(root: Path, tracker: Tracker):
    return connect(root).get_run(tracker.run_id)


def history(root: Path, tracker: Tracker, key: str) -> list[int]:
    return [metric.step for metric in connect(root).get_metric_history(tracker.run_id, key)]


def test_a_run_says_what_it_is_made_from(root):
    long = "x" * 7000
    tracker = open_tracker(
        RUN,
        root,
        facts(
            "sample@coco",
            name="sample:coco",
            params={**{f"sample.p{index}": index for index in range(250)}, "sample.long": long, "sample.sweep": [1, 2]},
            tags={"upstream.train": "abc"},
            datasets=[("data/rows", "0123456789abcdef0123456789abcdef")],
        ),
        nobody,
    )
    tracker.image("recon", 20, np.zeros((4, 4, 3), np.uint8))
    tracker.end("FINISHED")
    run = run_of(root, tracker)
    assert (run.info.status, run.info.run_name, len(run.data.params)) == ("FINISHED", "sample:coco", 252)
    assert run.data.params["sample.sweep"] == "[1, 2]" and run.data.params["sample.long"] == long[:6000]
    assert run.data.tags["upstream.train"] == "abc" and run.data.tags["dvc.stage"] == "sample@coco"
    (dataset,) = [entry.dataset for entry in run.inputs.dataset_inputs]
    assert (dataset.name, dataset.digest) == ("data/rows", "0123456789abcdef0123456789abcdef")
    assert run.info.artifact_uri.startswith((root / "mlruns").as_uri())
    assert len(list((root / "mlruns").rglob("recon*.png"))) == 1


def test_points_are_sent_in_batches_and_all_of_them_before_a_checkpoint(root):
    tracker = open_tracker(RUN, root, facts(), nobody)
    for step in range(70):
        tracker.metrics(step, {"train/loss": 1.0})
    assert history(root, tracker, "train/loss") == list(range(50))
    tracker.flush()
    assert history(root, tracker, "train/loss") == list(range(70))


def test_a_restart_with_the_same_key_continues_the_run_and_sends_nothing_twice(root):
    first = open_tracker(RUN, root, facts(params={"a": 1}), nobody)
    for step in range(5):
        first.metrics(step, {"train/loss": 1.0})
    first.flush()
    second = open_tracker(RUN, root, facts(params={"a": 1}), nobody)
    second.resume()
    for step in range(3, 8):
        second.metrics(step, {"train/loss": 1.0, "valid/psnr_db": 2.0})
    second.end("FINISHED")
    assert second.run_id == first.run_id and run_of(root, second).data.tags["resumed"] == "1"
    assert history(root, second, "train/loss") == list(range(8))
    assert history(root, second, "valid/psnr_db") == list(range(3, 8))
    third = open_tracker(RUN, root, facts(params={"a": 1}), nobody)
    assert third.run_id != first.run_id, "a finished run is never continued"


def test_runs_left_by_kill_9_are_closed_unless_their_process_lives(root):
    dead, living, other_stage = (
        open_tracker(RUN, root, facts(stage, key), nobody)
        for stage, key in (("train", "dead"), ("train", "living"), ("sample", "x"))
    )
    # the second tracker closed the first when it started: put it back to what kill -9 leaves
    connect(root).update_run(dead.run_id, status="RUNNING")
    with hold(root / ".checkpoints/train/living/lock", what="train", wait=False):
        open_tracker(RUN, root, facts("train", "new"), is_alive(root))
        statuses = [run_of(root, tracker).info.status for tracker in (dead, living, other_stage)]
        assert statuses == ["KILLED", "RUNNING", "RUNNING"]
        experiment = run_of(root, dead).info.experiment_id
        assert len(close_stale_runs(connect(root), experiment, root, is_alive(root))) == 2  # sample, and train's "new"
    assert run_of(root, living).info.status == "RUNNING"


def test_runs_of_another_workspace_on_the_same_server_are_left_alone(root, tmp_path, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{root / 'mlflow.db'}")
    theirs = open_tracker(RUN, tmp_path / "theirs", facts(key="a"), nobody)
    open_tracker(RUN, tmp_path / "ours", facts(key="b"), nobody)
    assert run_of(root, theirs).info.status == "RUNNING"


@pytest.mark.parametrize("environment", [{"MLFLOW_OFF": "1"}, {"MLFLOW_TRACKING_URI": "http://127.0.0.1:9"}])
def test_switched_off_or_out_of_reach_is_a_warning(root, capsys, monkeypatch, environment):
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        tracker = open_tracker(RUN, root, facts(), nobody)
    assert tracker.run_id is None
    error = capsys.readouterr().err
    assert error.startswith("WARNING: ") and error.rstrip().endswith("curves go to reports/curves only")


def test_mlflow_not_installed_is_a_warning(root, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "mlflow", None)
    assert open_tracker(RUN, root, facts(), nobody).run_id is None
    assert "MLflow is not installed" in capsys.readouterr().err


def test_a_server_lost_on_the_way_is_one_warning_and_the_training_goes_on(root, capsys):
    tracker = open_tracker(RUN, root, facts(), nobody)

    class Gone:
        def __getattr__(self, name):
            raise ConnectionError("server gone")

    class Client:
        log_batch = log_image = set_terminated = staticmethod(lambda *a, **k: Gone().anything)

    tracker._client = Client()
    for step in range(120):
        tracker.metrics(step, {"train/loss": 1.0})
    tracker.image("recon", 1, np.zeros((2, 2, 3), np.uint8))
    assert capsys.readouterr().err.count("WARNING: MLflow failed (server gone)") == 1


def test_the_database_lets_readers_and_writers_work_at_once(root):
    connect(root)
    with closing(sqlite3.connect(root / "mlflow.db")) as database:
        assert database.execute("PRAGMA journal_mode").fetchone() == ("wal",)


def test_a_failed_stage_is_failed_and_keeps_its_traceback(tracked_project, toy_tree):
    def fails(stage):
        stage.log(0, {"train/loss": 1.0})
        raise ValueError("no caption")

    assert execute(fails, "train", [], toy_tree) == 2
    client = connect(tracked_project)
    (run,) = client.search_runs([client.get_experiment_by_name("toy").experiment_id])
    assert (run.info.status, run.info.run_name) == ("FAILED", "train")
    assert run.data.params == {"seed": "3", "train.updates": "12", "train.rate": "0.0001"}
    assert run.data.metrics == {"train/loss": 1.0}
    assert "ValueError: no caption" in next((tracked_project / "mlruns").rglob("error.txt")).read_text()


def test_a_finished_stage_knows_its_upstream_runs(tracked_project, toy_tree):
    (tracked_project / "runs").mkdir()
    (tracked_project / "runs/prepare.json").write_text(
        '{"stage": "prepare", "run_id": "abc", "seconds": 1.0, "throughput": {}, "upstream": {}}'
    )

    def main(stage):
        stage.throughput(images_per_second=10.0)
        with stage.output("models/toy.txt") as path:
            path.write_text("model")
        stage.finish({"valid/total": 0.5})

    assert execute(main, "train", [], toy_tree) == 0
    client = connect(tracked_project)
    (run,) = client.search_runs([client.get_experiment_by_name("toy").experiment_id])
    assert run.info.status == "FINISHED" and run.data.tags["upstream.prepare"] == "abc"
    assert run.data.metrics == {"valid/total": 0.5, "throughput/images_per_second": 10.0}
    assert [entry.dataset.name for entry in run.inputs.dataset_inputs] == ["data/rows"]
