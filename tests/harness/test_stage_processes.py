"""Stages as processes, killed in every way, against a real MLflow database and a real DVC."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from harness.fingerprint import digest_of_path
from harness.stage import execute
from harness.tracking import connect
from harness.uploader import upload_finished

SOURCES = Path(__file__).parents[2] / "src"


def all_runs(root: Path) -> list:
    assert upload_finished(root) is None
    client = connect(root)
    experiment = client.get_experiment_by_name("toy")
    return [] if experiment is None else client.search_runs([experiment.experiment_id], order_by=["attributes.start_time ASC"])


def wait_for(path: Path, process: subprocess.Popen) -> None:
    deadline = time.monotonic() + 60
    while not path.exists():
        assert process.poll() is None, process.communicate()[1]
        assert time.monotonic() < deadline, "the stage never got there"
        time.sleep(0.05)


def test_kill_9_then_rerun_is_one_run_with_every_point_once(tracked_project, start, toy_tree, capsys):
    killed = start("train", TOY_PAUSE_AT="9")
    wait_for(tracked_project / "paused", killed)
    assert execute(lambda stage: None, "train", [], toy_tree) == 2
    assert f"train is already running (process {killed.pid})" in capsys.readouterr().err
    killed.kill()
    killed.wait()
    assert [run.info.status for run in all_runs(tracked_project)] == ["KILLED"], "kill -9 is noticed from outside"

    resumed = start("train")
    assert resumed.wait() == 0, resumed.communicate()[1]
    (run,) = all_runs(tracked_project)
    assert run.info.status == "FINISHED" and run.data.tags["resumed"] == "1"
    history = connect(tracked_project).get_metric_history(run.info.run_id, "train/total")
    assert [metric.step for metric in history] == list(range(12))
    table = (tracked_project / "reports/curves/train.csv").read_text().splitlines()
    assert table[0] == "step,train/total" and [int(line.split(",")[0]) for line in table[1:]] == list(range(12))
    assert json.loads((tracked_project / "runs/train.json").read_text())["run"] == run.data.tags["run"]
    expected = sum(step * 1e-4 for step in range(12))
    assert float((tracked_project / "models/toy.txt").read_text()) == pytest.approx(expected, rel=1e-12)
    assert not list((tracked_project / ".checkpoints/train").glob("*/state.pt"))


def test_sigterm_is_recorded_as_killed(tracked_project, start):
    process = start("train", TOY_PAUSE_AT="2")
    wait_for(tracked_project / "paused", process)
    process.send_signal(signal.SIGTERM)
    assert process.wait() == 130
    assert process.communicate()[1].strip().endswith("STOPPED train")
    (run,) = all_runs(tracked_project)
    assert run.info.status == "KILLED" and run.data.metrics["train/total"] == pytest.approx(3e-4)
    assert not (tracked_project / "models").exists() or not list((tracked_project / "models").iterdir())


def test_an_unknown_key_is_one_line_and_exit_code_2(project, start):
    params = project / "params.yaml"
    params.write_text(params.read_text().replace("rate:", "rat:"))
    process = start("train")
    out, error = process.communicate()
    assert (process.returncode, out) == (2, "")
    assert error == "ERROR train: train.rat: unknown key (did you mean 'rate'?)\n"


def test_dvc_runs_it_once_and_agrees_on_every_digest(project):
    (project / "data/rows/0.txt").unlink()
    (project / "data/rows").rmdir()
    dvc = Path(sys.executable).with_name("dvc")
    environment = {**os.environ, "PYTHONPATH": str(SOURCES), "DVC_NO_ANALYTICS": "1", "CI": "1"}
    (project / ".dvc").mkdir()
    (project / ".dvc/config").write_text("[core]\n    no_scm = True\n")  # what `dvc init --no-scm` writes

    def run(*arguments: str) -> str:
        done = subprocess.run([dvc, *arguments], cwd=project, env=environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    assert "Running stage 'train'" in run("repro", "train")
    lock = (project / "dvc.lock").read_bytes()
    assert "up to date" in run("repro", "train") and (project / "dvc.lock").read_bytes() == lock
    recorded = YAML(typ="safe").load(lock)["stages"]
    for entry in [*recorded["train"]["deps"], *recorded["prepare"]["outs"]]:
        assert digest_of_path(project / entry["path"]) == entry["md5"].removesuffix(".dir"), entry["path"]
