"""`dalle ablate` with DVC itself: one arm of each fate, an interruption, and only what is missing run again."""

import csv
import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from unittest.mock import MagicMock

import pytest

from dalle.report.ablations import read_ablations
from dalle.training import loop
from harness import ablation_runs, cli
from harness.ablation_runs import NO_NUMBER

STAGE = """\
import json, os, sys, time
from pathlib import Path
from ruamel.yaml import YAML
params = YAML(typ="safe").load(Path("params.yaml").read_text())["train"]
with open(os.environ["TOY_RUNS"], "a") as file:
    file.write(f"{params['beta']} {params['kind']}\\n")
if os.environ.get("TOY_PAUSE"):
    time.sleep(60)
if params["beta"] > 100:
    sys.exit("\\r 5%|##    ]ERROR train: the loss is nan at update 3: lower the step size or look at the data")
if params["kind"] == "broken":
    sys.exit("ERROR train: no such kind")
Path("models").mkdir(exist_ok=True)
Path("models/toy").write_text(str(params))
Path("runs").mkdir(exist_ok=True)
Path("runs/train.json").write_text(json.dumps({"seconds": 7 + params["beta"]}))
Path("reports/metrics").mkdir(parents=True, exist_ok=True)
seed = YAML(typ="safe").load(Path("params.yaml").read_text())["seed"]
Path("reports/metrics/train.json").write_text(json.dumps({"valid/loss": 5 - params["beta"] + seed / 10}))
"""
PIPELINE = """\
stages:
  train:
    cmd: python stage.py
    deps: [stage.py]
    params: [seed, train]
    outs: [models/toy, runs/train.json]
    metrics: [reports/metrics/train.json: {cache: false}]
"""
DOCUMENT = """\
# What the toy is made of.

title: The toy
target: train
base: {train.beta: 2}
groups:
  - title: beta
    param: train.beta
    values: [0.5, 2, 3, 1000]
  - title: kind
    param: train.kind
    values: [plain, broken]
seeds: [0, 1]
metrics: [train:valid/loss]
sentences:
  - {says: Beta lowers the loss, source: sec. 1, group: beta, metric: "train:valid/loss", expect: falls}
  - {says: Too much diverges, source: sec. 2, group: beta, expect: {diverges: 1000}}
"""


@dataclass(frozen=True, kw_only=True)
class Train:
    beta: float
    kind: str


@dataclass(frozen=True, kw_only=True)
class Tree:
    seed: int
    train: Train


@pytest.fixture
def toy(tmp_path, monkeypatch):
    """A DVC project in git with nothing run; gives how often the stage has run."""
    root = tmp_path / "toy"
    (root / "reports/ablations/toy").mkdir(parents=True)
    monkeypatch.chdir(root)
    for name in ("DVC_ROOT", "DVC_EXP_NAME", "DVC_STAGE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TOY_RUNS", str(tmp_path / "runs"))
    texts = {"stage.py": STAGE, "dvc.yaml": PIPELINE, "params.yaml": "seed: 0\ntrain: {beta: 1.0, kind: plain}\n",
             ".gitignore": "/models/\n/runs/\n", "reports/ablations/toy/ablation.yaml": DOCUMENT}  # fmt: skip
    for path, text in texts.items():
        Path(path).write_text(text)
    commands = ["git init --quiet", "git config user.name t", "git config user.email t@t", f"{sys.executable} -m dvc init -q",
                f"{sys.executable} -m dvc config core.analytics false",
                "git add --all", "git commit --quiet --message toy"]  # fmt: skip
    for command in commands:
        subprocess.run(command.split(), check=True, capture_output=True)

    def runs():
        lines = (tmp_path / "runs").read_text().splitlines() if (tmp_path / "runs").exists() else []
        (tmp_path / "runs").write_text("")
        return lines

    return runs


def ablate():
    with pytest.raises(SystemExit) as stop:
        cli.main(["ablate", "reports/ablations/toy"], Tree)
    return stop.value.code


def test_every_fate_of_an_arm_is_told_and_only_what_is_missing_runs_again(toy, monkeypatch, capsys):
    with monkeypatch.context() as first:

        def progress(outcome, *numbers):
            if outcome.name.endswith("beta-3.0"):
                raise KeyboardInterrupt
            return outcome.state

        first.setattr(ablation_runs, "_progress", progress)
        assert ablate() == 130
    assert toy() == ["2.0 plain", "0.5 plain", "3.0 plain"]
    assert not Path("reports/ablations/toy/README.md").exists()

    capsys.readouterr()
    assert ablate() == 0
    assert toy() == ["1000.0 plain", "2.0 broken", "2.0 plain"]  # the last: the other seed
    said = capsys.readouterr().out
    assert "6 arms in 2 groups, up to train: 3 are there, 3 to run" in said
    assert "diverged: the loss is nan at update 3" in said and "failed: no such kind (all of it: .dvc/tmp/ablations/" in said

    folder = Path("reports/ablations/toy")
    rows = list(csv.DictReader(open(folder / "table.csv", newline="")))
    assert [(row["arm"], row["base"], row["outcome"], row["train:valid/loss"], row["seconds"]) for row in rows] == [
        ("0.5", "false", "done", "4.5", "7.5"),
        ("2", "true", "done", "3", "9.0"),
        ("3", "false", "done", "2", "10.0"),
        ("1000", "false", "diverged", "", ""),
        ("plain", "true", "done", "3", "9.0"),
        ("broken", "false", "failed", "", ""),
        ("seed 0", "true", "done", "3", "9.0"),
        ("seed 1", "false", "done", "3.1", "9.0"),
    ]
    findings = json.loads((folder / "findings.json").read_text())["findings"]
    assert [(finding["says"], finding["verdict"]) for finding in findings] == [
        ("Beta lowers the loss", "held"), ("Too much diverges", "held"),
    ]  # fmt: skip
    assert "0.5: 4.5, 2: 3, 3: 2, 1000: diverged (rank correlation −1.00); two standard deviations of seeds: 0.2" in findings[0]["numbers"]
    page = (folder / "README.md").read_text()
    for words in ("What the toy is made of.", "dalle ablate reports/ablations/toy", "| 2 (base) |", "| broken | failed |"):
        assert words in page
    assert read_ablations(Path("reports/ablations"))[0].findings[1].verdict == "held"

    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    Path("NOTES").write_text("a commit that no result depends on")
    subprocess.run("git add NOTES reports".split(), check=True)
    subprocess.run("git commit --quiet --message notes".split(), check=True)
    assert ablate() == 0
    assert toy() == ["2.0 broken"]  # it may be mended by now; what diverged would again
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def test_edits_are_refused_and_other_code_runs_everything_again(toy, capsys):
    document = Path("reports/ablations/toy/ablation.yaml")
    document.write_text(DOCUMENT.split("  - title: kind")[0].replace(", 2, 3, 1000", "") + "metrics: [train:valid/loss]\n")
    assert ablate() == 0 and toy() == ["2.0 plain", "0.5 plain"]
    Path("stage.py").write_text(STAGE.replace("5 -", "6 -"))
    assert ablate() == 2 and toy() == []
    assert "uncommitted edits (stage.py): the results could not be attributed" in capsys.readouterr().err
    subprocess.run("git commit --quiet --all --message other".split(), check=True)
    assert ablate() == 0 and toy() == ["2.0 plain", "0.5 plain"]
    assert "5.5" in Path("reports/ablations/toy/table.csv").read_text()
    with pytest.raises(SystemExit) as stop:
        cli.main(["compare"])
    assert stop.value.code == 2 and "there are no experiments yet" in capsys.readouterr().err


def test_a_metric_that_nobody_reports_is_an_error_after_the_first_arm(toy, capsys):
    document = Path("reports/ablations/toy/ablation.yaml")
    document.write_text(DOCUMENT.partition("sentences")[0].replace("valid/loss", "valid/los"))
    assert ablate() == 2 and toy() == ["2.0 plain"]
    assert "metrics: train:valid/los: ABLATION-" in (said := capsys.readouterr().err) and "(there are: valid/loss)" in said


def test_ctrl_c_ends_the_arm_that_runs_and_leaves_nothing_behind(toy):
    command = "from harness import cli; from test_ablate import Tree; cli.main(['ablate', 'reports/ablations/toy'], Tree)"
    path = os.pathsep.join([str(Path(cli.__file__).parents[1]), str(Path(__file__).parent)])
    process = subprocess.Popen(
        [sys.executable, "-c", command],
        env={**os.environ, "PYTHONPATH": path, "TOY_PAUSE": "1"},
        stdout=subprocess.DEVNULL,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # tests in a shell's background ignore it
    )
    deadline = time.monotonic() + 300
    while not toy() and time.monotonic() < deadline:
        time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=120) == 130
    assert not [path for path in Path(".dvc/tmp/exps/standalone").iterdir() if path.name.startswith("tmp")]
    assert subprocess.run(["git", "status", "--porcelain"], capture_output=True).stdout == b""
    assert ablate() == 0 and toy()[0] == "2.0 plain"


def test_what_a_diverging_training_says_is_known(monkeypatch):
    monkeypatch.setattr(loop, "_set_gradients", lambda *parts: (float("inf"), {}))
    state = MagicMock(step=7, plateau=None, sums={}, num_summed=0, optimizer=MagicMock(param_groups=[{"lr": 1.0}]))
    optim = MagicMock(clip_norm=None)
    optim.learning_rate.at.return_value = 1.0
    with pytest.raises(FloatingPointError) as error:
        loop._update(state, None, None, None, optim, None)
    assert NO_NUMBER.search(str(error.value))[0] == "the loss is inf at update 7"


def test_a_path_that_is_not_ascii_is_warned_of_with_the_way_out(tmp_path, monkeypatch, capsys):
    (tmp_path / "Bücher").mkdir()
    monkeypatch.chdir(tmp_path / "Bücher")
    plan = ablation_runs.Plan(title="", base={}, arms=[], targets=[])
    with pytest.raises((OSError, ValueError)):  # there is no project
        ablation_runs.run_arms(plan, Path("params.yaml"), Path("dvc.yaml"))
    error = capsys.readouterr().err
    assert "WARNING: " in error and "Bücher has letters that are not ASCII" in error and "move or clone the project" in error
