"""From journals to a real MLflow database: what arrives there, once, under which status."""

import json
import shutil
import sqlite3
import subprocess
import sys
import threading
import time
import warnings
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from harness.journal import FOLDER, Journal, journals, open_journal
from harness.locks import hold, is_held
from harness.run_config import RunConfig
from harness.stage import execute
from harness.tracker import RunFacts
from harness.tracking import connect, find_run
from harness.uploader import Uploads, upload_finished

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
FACTS = RunFacts(
    run="a" * 32,
    attempt=0,
    stage="train",
    name="train",
    experiment="toy",
    params={"train.rate": 1e-4},
    tags={},
    upstream={},
    datasets=[],
    system_metrics=False,
)


@pytest.fixture
def root(tmp_path, empty_database, monkeypatch):
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.delenv("MLFLOW_OFF", raising=False)
    shutil.copy(empty_database, tmp_path / "mlflow.db")
    return tmp_path


def opened(root: Path, **changes) -> Journal:
    journal = open_journal(RUN, root, replace(FACTS, **changes))
    assert isinstance(journal, Journal)
    return journal


def die(journal: Journal) -> None:
    """What kill -9 leaves: no last event, and a file that nobody has open."""
    journal._file.close()


def arrived(root: Path, run: str = FACTS.run):
    return find_run(connect(root), run)


def history(root: Path, key: str) -> list[int]:
    return [metric.step for metric in connect(root).get_metric_history(arrived(root).info.run_id, key)]


def test_a_run_says_what_it_is_made_from(root):
    before = opened(root, run="b" * 32, stage="prepare", name="prepare")
    before.end("FINISHED")
    long = "x" * 7000
    journal = opened(
        root,
        stage="sample@coco",
        name="sample:coco",
        params={**{f"sample.p{index}": index for index in range(250)}, "sample.long": long, "sample.sweep": [1, 2]},
        upstream={"prepare": "b" * 32, "train": "c" * 32, "report": None},
        datasets=[("data/rows", "0123456789abcdef0123456789abcdef")],
    )
    journal.image("recon", 20, np.zeros((4, 4, 3), np.uint8))
    journal.end("FINISHED")
    assert upload_finished(root) is None
    run = arrived(root)
    assert (run.info.status, run.info.run_name, len(run.data.params)) == ("FINISHED", "sample:coco", 252)
    assert run.data.params["sample.sweep"] == "[1, 2]" and run.data.params["sample.long"] == long[:6000]
    assert run.data.tags["dvc.stage"] == "sample@coco"
    assert run.data.tags["upstream.prepare"] == arrived(root, "b" * 32).info.run_id, "MLflow's own id, where it has one"
    assert (run.data.tags["upstream.train"], run.data.tags["upstream.report"]) == ("c" * 32, "not tracked")
    (dataset,) = [entry.dataset for entry in run.inputs.dataset_inputs]
    assert (dataset.name, dataset.digest) == ("data/rows", "0123456789abcdef0123456789abcdef")
    assert run.info.artifact_uri.startswith((root / "mlruns").as_uri())
    assert len(list((root / "mlruns").rglob("recon*.png"))) == 1
    assert all(path.suffix == ".lock" for path in (root / FOLDER).iterdir()), "what was sent is not kept"


def test_a_living_run_is_followed(root):
    journal, uploads = opened(root), Uploads(root)
    for step in range(3):
        journal.metrics(step, {"train/loss": 1.0})
        assert uploads.advance() is None
        assert history(root, "train/loss") == list(range(step + 1)) and arrived(root).info.status == "RUNNING"
    journal.end("FAILED")
    uploads.advance()
    assert arrived(root).info.status == "FAILED" and not journals(root)


def test_a_run_that_is_killed_and_goes_on_is_one_run_with_every_point_once(root):
    first = opened(root)
    for step in range(5):
        first.metrics(step, {"train/loss": 1.0})
    with open(first.path, "a") as file:
        file.write('{"event": "metrics", "step": 5, "met')  # cut off in the middle of a line
    die(first)
    Uploads(root).advance()
    killed = arrived(root)
    assert killed.info.status == "KILLED" and not journals(root)
    second = opened(root, attempt=1)
    for step in range(3, 8):
        second.metrics(step, {"train/loss": 1.0, "valid/psnr_db": 2.0})
    second.end("FINISHED")
    Uploads(root).advance()
    run = arrived(root)
    assert run.info.run_id == killed.info.run_id and run.info.status == "FINISHED" and run.data.tags["resumed"] == "1"
    assert history(root, "train/loss") == list(range(8)) and history(root, "valid/psnr_db") == list(range(3, 8))


@pytest.mark.parametrize("lost_after", range(1, 9))
def test_an_uploader_that_dies_anywhere_sends_nothing_twice_and_loses_nothing(root, lost_after):
    """The client breaks after its n-th call; another uploader begins anew."""
    journal = opened(root, datasets=[("data/rows", "0" * 32)])
    for step in range(4):
        journal.metrics(step, {"train/loss": 1.0})
    journal.image("recon", 3, np.zeros((4, 4, 3), np.uint8))
    journal.metrics(4, {"train/loss": 1.0})
    journal.end("FINISHED")
    calls = 0

    class Breaking:
        def __init__(self, client):
            self._client = client

        def __getattr__(self, name):
            value = getattr(self._client, name)
            if not callable(value) or not name.startswith(("create_run", "log_", "set_", "update_")):
                return value

            def call(*arguments, **options):
                nonlocal calls
                calls += 1
                result = value(*arguments, **options)
                if calls == lost_after:
                    raise ConnectionError("lost the answer")
                return result

            return call

    uploads = Uploads(root)
    uploads._clients._clients[f"sqlite:///{root / 'mlflow.db'}"] = Breaking(connect(root))
    first = uploads.advance()
    assert first == ("lost the answer" if calls >= lost_after else None)
    assert Uploads(root).advance() is None
    run = arrived(root)
    assert run.info.status == "FINISHED" and history(root, "train/loss") == list(range(5))
    assert run.data.params == {"train.rate": "0.0001"} and len(run.inputs.dataset_inputs) == 1
    assert not journals(root)


def test_an_attempt_that_is_sent_late_does_not_undo_what_a_later_one_said(root):
    """The first is lost sight of when a server fails; or the clock went backwards, and with it the order of the files."""
    first, second = opened(root), opened(root, attempt=1)
    first.metrics(0, {"train/loss": 1.0})
    die(first)
    second.end("FINISHED")
    second.path.rename(second.path.with_name(f"0-{second.path.name}"))
    assert Uploads(root).advance() is None
    assert arrived(root).info.status == "FINISHED" and arrived(root).data.tags["resumed"] == "1"
    assert history(root, "train/loss") == [0]


def test_whoever_waits_for_an_uploader_at_work_is_told_what_it_meets(root):
    """It may stay as long as a training lives; nobody waits for that."""
    opened(root).end("FINISHED")
    with hold(root / FOLDER / "uploader.lock", what="the uploader", wait=False):
        told = threading.Timer(0.3, lambda: (root / FOLDER / "problem.txt").write_text("server gone\n"))
        told.start()
        assert upload_finished(root) == "server gone"
    assert upload_finished(root) is None and arrived(root).info.status == "FINISHED"


def test_a_journal_without_its_first_line_or_with_a_broken_picture_stops_nobody(root):
    headless, broken = opened(root, run="b" * 32), opened(root)
    headless.metrics(0, {"train/loss": 1.0})
    headless.end("FINISHED")
    lines = headless.path.read_bytes().splitlines(keepends=True)
    headless.path.write_bytes(b"\0" * (len(lines[0]) - 1) + b"\n" + b"".join(lines[1:]))
    broken.image("recon", 0, np.zeros((4, 4, 3), np.uint8))
    next(broken.path.with_suffix("").iterdir()).write_bytes(b"")
    broken.end("FINISHED")
    assert Uploads(root).advance() is None
    assert arrived(root).info.status == "FINISHED" and arrived(root, "b" * 32) is None and not journals(root)


def test_a_server_that_is_away_is_asked_once_a_pass(root, monkeypatch):
    for name in "bcd":
        opened(root, run=name * 32).end("FINISHED")
    asked = []

    def away(*arguments):
        asked.append(arguments)
        raise ConnectionError("https://me:secret@server is away")

    monkeypatch.setattr("harness.uploader.connect", away)
    assert Uploads(root).advance() == "https://server is away" and len(asked) == 1 and len(journals(root)) == 3


def test_runs_wait_while_a_server_is_out_of_reach(root, capsys, monkeypatch):
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    journal = opened(root)
    journal.metrics(0, {"train/loss": 1.0})
    journal.end("FINISHED")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert "127.0.0.1" in upload_finished(root)
    assert journals(root) == [journal.path]
    capsys.readouterr()
    opened(root, run="b" * 32).end("FINISHED")
    assert capsys.readouterr().err.count("WARNING: runs cannot be sent to MLflow (") == 2, "said at start and end of every stage"


def test_a_database_that_cannot_be_written_keeps_the_runs_here(root, monkeypatch):
    monkeypatch.chdir(root)  # MLflow makes a folder of the address's name
    journal = opened(root)
    journal.end("FINISHED")
    database = f"sqlite:///file:{root / 'mlflow.db'}?mode=ro&uri=true"
    uploads = Uploads(root)
    uploads._clients._clients[f"sqlite:///{root / 'mlflow.db'}"] = connect_read_only(database)
    assert "readonly" in uploads.advance() and journals(root) == [journal.path]
    assert upload_finished(root) is None and arrived(root).info.status == "FINISHED"


def connect_read_only(uri: str):
    from mlflow import MlflowClient

    return MlflowClient(uri)


def test_switched_off_is_a_warning(root, capsys, monkeypatch):
    monkeypatch.setenv("MLFLOW_OFF", "1")
    assert open_journal(RUN, root, FACTS).run is None
    assert open_journal(replace(RUN, tracking=False), root, FACTS).run is None
    assert capsys.readouterr().err.count("WARNING: tracking is off: curves go to reports/curves only") == 2
    assert not (root / FOLDER).exists()


def test_mlflow_not_installed_leaves_the_run_here(root, monkeypatch):
    opened(root).end("FINISHED")
    monkeypatch.setitem(sys.modules, "mlflow", None)
    assert upload_finished(root).startswith("MLflow is not installed") and len(journals(root)) == 1


def test_a_full_disk_costs_points_but_neither_the_training_nor_its_status(root, capsys):
    journal = opened(root)
    file, journal._file = journal._file, open("/dev/full", "w")
    for step in range(3):
        journal.metrics(step, {"train/loss": 1.0})
    assert is_held(journal.path), "the process lives, and can be seen to"
    journal._file = file  # there is room again
    journal.metrics(3, {"train/loss": 1.0})
    journal.end("FINISHED")
    assert capsys.readouterr().err.count("No space left on device: what MLflow misses is in reports/curves") == 1
    Uploads(root).advance()
    assert arrived(root).info.status == "FINISHED" and history(root, "train/loss") == [3]


def test_a_folder_that_cannot_be_written_is_a_warning(tracked_project, toy_tree, capsys):
    (tracked_project / FOLDER).write_text("a file where a folder should be")
    assert execute(lambda stage: stage.finish({}), "prepare", [], toy_tree) == 0
    assert "WARNING: " in capsys.readouterr().err
    (tracked_project / FOLDER).unlink()


def test_a_stage_does_not_import_mlflow(project):
    """The reason for the journal: it takes longer to import than the smallest stages run."""
    program = "import sys, harness.stage, harness.params_tree; sys.exit('mlflow' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program]).returncode == 0


def test_system_metrics_are_measured_beside_the_stage(root, monkeypatch):
    monkeypatch.setenv("MLFLOW_SYSTEM_METRICS_SAMPLING_INTERVAL", "0.2")
    monkeypatch.setenv("MLFLOW_SYSTEM_METRICS_SAMPLES_BEFORE_LOGGING", "1")
    journal, uploads = opened(root, system_metrics=True), Uploads(root)
    deadline = time.monotonic() + 20
    while "system/cpu_utilization_percentage" not in (arrived(root).data.metrics if arrived(root) else {}):
        assert uploads.advance() is None and time.monotonic() < deadline
        time.sleep(0.2)
    journal.end("FINISHED")
    uploads.advance()
    assert arrived(root).info.status == "FINISHED"


def test_the_database_lets_readers_and_writers_work_at_once(root):
    connect(root)
    with closing(sqlite3.connect(root / "mlflow.db")) as database:
        assert database.execute("PRAGMA journal_mode").fetchone() == ("wal",)


def test_a_failed_stage_is_failed_and_keeps_its_traceback(tracked_project, toy_tree):
    def fails(stage):
        stage.log(0, {"train/loss": 1.0})
        raise ValueError("no caption")

    assert execute(fails, "train", [], toy_tree) == 2
    assert upload_finished(tracked_project) is None
    client = connect(tracked_project)
    (run,) = client.search_runs([client.get_experiment_by_name("toy").experiment_id])
    assert (run.info.status, run.info.run_name) == ("FAILED", "train")
    assert run.data.params == {"seed": "3", "train.updates": "12", "train.rate": "0.0001"}
    assert run.data.metrics == {"train/loss": 1.0}
    assert "ValueError: no caption" in next((tracked_project / "mlruns").rglob("error.txt")).read_text()


def test_a_finished_stage_knows_its_upstream_runs_and_parameters(tracked_project, toy_tree):
    record = {"stage": "prepare", "run": "abc", "params": {"prepare.num_rows": 9}, "data": {}, "upstream": {}}
    record |= {"commit": None, "dirty": None, "seconds": 1.0, "throughput": {}}
    (tracked_project / "runs").mkdir()
    (tracked_project / "runs/prepare.json").write_text(json.dumps(record))

    def main(stage):
        stage.throughput(images_per_second=10.0)
        with stage.output("models/toy.txt") as path:
            path.write_text("model")
        stage.finish({"valid/total": 0.5})

    assert execute(main, "train", [], toy_tree) == 0
    assert upload_finished(tracked_project) is None
    client = connect(tracked_project)
    (run,) = client.search_runs([client.get_experiment_by_name("toy").experiment_id])
    assert run.info.status == "FINISHED" and run.data.tags["upstream.prepare"] == "abc"
    assert run.data.params["prepare.num_rows"] == "9", "what was used, not what params.yaml says now (5)"
    assert run.data.metrics == {"valid/total": 0.5, "throughput/images_per_second": 10.0}
    assert [entry.dataset.name for entry in run.inputs.dataset_inputs] == ["data/rows"]
    made = json.loads((tracked_project / "runs/train.json").read_text())
    assert made["run"] == run.data.tags["run"] and made["params"]["train.rate"] == 1e-4 and list(made["data"]) == ["data/rows"]
