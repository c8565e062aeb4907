"""The whole pipeline at the smoke preset, in a copy: every stage for real, then nothing, then a kill and a recovery."""

import json
import math
import os
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from project_copies import copy_project
from PIL import Image

pytestmark = pytest.mark.pipeline
STAGES = (
    "prepare_data filter_data train_tokenizer train_dvae precompute_tokens train_prior train_clip sample-coco sample-cub "
    "rerank-coco rerank-cub evaluate-coco evaluate-cub report"
).split()


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """The project after one `dvc repro`."""
    project = copy_project(tmp_path_factory.mktemp("smoke") / "project")
    first = project.run("dvc", "repro")
    assert first.returncode == 0, first.stdout[-3000:] + first.stderr[-3000:]
    return project


def test_second_repro_runs_nothing(finished):
    again = finished.run("dvc", "repro")
    assert again.returncode == 0
    assert "Running stage" not in again.stdout
    assert "up to date" in again.stdout


def test_every_figure_shows_something(finished):
    figures = sorted((finished.folder / "reports/figures").glob("*.png"))
    page = (finished.folder / "reports/README.md").read_text()
    assert len(figures) >= 15
    for figure in figures:
        pixels = np.asarray(Image.open(figure).convert("RGB"))
        colours = np.unique(pixels.reshape(-1, 3)[::7], axis=0)
        assert len(colours) > 20, figure.name
        assert f"figures/{figure.name}" in page


def test_every_metric_is_finite(finished):
    for stage in STAGES[:-1]:
        metrics = json.loads((finished.folder / f"reports/metrics/{stage}.json").read_text())
        assert metrics
        assert all(math.isfinite(value) for value in metrics.values()), stage
    for domain in ("coco", "cub"):
        table = pd.read_csv(finished.folder / f"reports/metrics/evaluate-{domain}.csv")
        assert np.isfinite(table["value"]).all()
        assert {"fid", "inception_score", "kid", "clip_score"} <= set(table["metric"])
        assert set(table["model"]) == {"dalle", "dvae", "real"}


def test_filters_find_what_was_planted(finished):
    metrics = json.loads((finished.folder / "reports/metrics/filter_data.json").read_text())
    scores = {key: value for key, value in metrics.items() if key.startswith("truth/")}
    assert len(scores) == 12
    assert min(scores.values()) >= 0.9, scores


def test_corrupt_images_are_named_and_set_aside(finished):
    dropped = pd.read_csv(finished.folder / "data/filtered/dropped.csv").query("rule == 'undecodable'")
    truth = pd.read_parquet(finished.folder / "data/prepared/truth/web.parquet").query("junk == 'undecodable'")
    assert set(dropped["pair_id"]) == set(truth["pair_id"]) != set()
    assert dropped["detail"].str.len().min() > 0


def test_one_finished_run_a_stage(finished):
    with sqlite3.connect(finished.folder / "mlflow.db") as database:
        runs = database.execute(
            "select t.value, r.status, r.run_uuid from runs r join tags t on r.run_uuid = t.run_uuid where t.key = 'dvc.stage'"
        ).fetchall()
    assert sorted((stage.replace("@", "-"), status) for stage, status, _ in runs) == sorted((stage, "FINISHED") for stage in STAGES)
    recorded = {json.loads((finished.folder / f"runs/{stage}.json").read_text())["run_id"] for stage in STAGES}
    assert recorded == {run_id for *_, run_id in runs}


def test_results_hold_no_dates_and_no_run_ids(finished):
    record = json.loads((finished.folder / "runs/train_prior.json").read_text())
    for file in sorted((finished.folder / "reports").rglob("*.*")):
        assert record["run_id"].encode() not in file.read_bytes(), file


def test_killed_stage_goes_on_and_ends_the_same(finished):
    """kill -9 in the middle of the prior's training; the rerun finishes with the weights of an uninterrupted one."""
    weights = finished.folder / "models/prior/model.safetensors"
    expected = weights.read_bytes()
    finished.edit("checkpoint_seconds: 60", "checkpoint_seconds: 0")
    command = [sys.executable, "-m", "dvc", "repro", "--force", "--single-item", "train_prior"]
    process = subprocess.Popen(
        command, cwd=finished.folder, env=finished.environment(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    for pid in wait_for_checkpoint(finished.folder, process):
        os.kill(pid, signal.SIGKILL)
    output, _ = process.communicate(timeout=120)
    assert process.returncode != 0, output
    assert not weights.exists(), "nothing half-written is left looking complete"
    rerun = finished.run("dvc", "repro", "--force", "--single-item", "train_prior")  # not from the run cache
    assert rerun.returncode == 0, rerun.stderr
    assert weights.read_bytes() == expected
    with sqlite3.connect(finished.folder / "mlflow.db") as database:
        query = "select r.status from runs r join tags t on r.run_uuid = t.run_uuid where t.value = 'train_prior'"
        assert {status for (status,) in database.execute(query)} == {"FINISHED"}, "the killed run was continued"


def wait_for_checkpoint(folder: Path, process: subprocess.Popen) -> list[int]:
    """The processes of the training once it has saved a checkpoint."""
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and process.poll() is None:
        if list(folder.glob(".checkpoints/train_prior/*/state.pt")):
            pids = processes_in(folder, "stages.train_prior")
            if pids:
                return pids
        time.sleep(0.02)
    raise AssertionError("the training ended before it saved a checkpoint")


def processes_in(folder: Path, words: str) -> list[int]:
    """Who runs in `folder` with `words` on the command line: the shell that DVC starts, and Python under it."""
    found = subprocess.run(["pgrep", "-f", words], capture_output=True, text=True).stdout.split()
    return [int(pid) for pid in found if Path(f"/proc/{pid}/cwd").resolve() == folder.resolve()]


def test_filters_that_keep_nothing(finished):
    """The last test: it ruins the filtered pairs on purpose."""
    finished.edit("min_words: 3", "min_words: 1000")
    process = finished.run("dvc", "repro", "filter_data")
    assert process.returncode != 0
    output = process.stdout + process.stderr
    assert "no pair of 600 is left" in output and "too_short" in output
    assert not (finished.folder / "data/filtered").exists()
    finished.edit("min_words: 1000", "min_words: 3")
    assert finished.run("dvc", "repro", "filter_data").returncode == 0
    assert (finished.folder / "data/filtered/pairs.parquet").exists()
