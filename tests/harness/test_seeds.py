"""`dalle seeds`: the plan and its errors, the table by hand, and runs with DVC itself that are stopped and taken up again."""

import csv
import json
import statistics
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from harness import ablation_runs, cli
from harness.seeds import read_seeds, write_seeds

STAGE = """\
import json, os, sys
from pathlib import Path
from ruamel.yaml import YAML
name, (key, factor) = sys.argv[1], {"prepare": ("seed", 1), "train": ("training_seed", 10)}[sys.argv[1]]
params = YAML(typ="safe").load(Path("params.yaml").read_text())
with open(os.environ["TOY_RUNS"], "a") as file:
    file.write(f"{name} {params['training_seed']}\\n")
if os.environ.get("TOY_FAILS") == f"{name} {params['training_seed']}":
    sys.exit(f"ERROR {name}: the loss is nan at update 3")
for folder in ("models", "reports/metrics"):
    Path(folder).mkdir(parents=True, exist_ok=True)
value = params.get(key, 0) * factor + params["train"]["rate"]
Path("models", name).write_text(str(value))
Path("reports/metrics", f"{name}.json").write_text(json.dumps({"valid/loss": value, "rows/total": 5}))
if name == "train":
    columns = "domain,model,features,blur_kind,blur_radius,reference,candidates,num_samples,metric,value,low,high"
    rows = [f"coco,dalle,lite0,pil,{blur},all,32,9,fid,{value + blur},0,1" for blur in (0, 8)]
    Path("reports/metrics/train.csv").write_text("\\n".join([columns, *rows]) + "\\n")
"""
PIPELINE = """\
stages:
  prepare:
    cmd: python stage.py prepare
    deps: [stage.py]
    params: [seed]
    outs: [models/prepare]
    metrics: [reports/metrics/prepare.json: {cache: false}]
  train:
    cmd: python stage.py train
    deps: [stage.py, models/prepare]
    params: [training_seed, train]
    outs: [models/train]
    metrics: [reports/metrics/train.json: {cache: false}]
    plots: [reports/metrics/train.csv: {cache: false}]
"""
BLUR_0, BLUR_8 = (f"train.csv:fid|dalle|blur={blur}|reference=all|candidates=32" for blur in (0, 8))


@dataclass(frozen=True, kw_only=True)
class Train:
    rate: float


@dataclass(frozen=True, kw_only=True)
class Tree:
    seed: int
    training_seed: int
    train: Train


def seeds(*arguments: str) -> int:
    with pytest.raises(SystemExit) as stop:
        cli.main(["seeds", *arguments], Tree)
    return stop.value.code


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A project in git whose files are committed, as the working directory; nothing has run."""
    root = tmp_path / "toy"
    root.mkdir()
    monkeypatch.chdir(root)
    for name in ("DVC_ROOT", "DVC_EXP_NAME", "DVC_STAGE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TOY_RUNS", str(tmp_path / "runs"))
    texts = {"stage.py": STAGE, "dvc.yaml": PIPELINE, "params.yaml": "seed: 0\ntraining_seed: 4\ntrain: {rate: 0.5}\n",
             ".gitignore": "/models/\n"}  # fmt: skip
    for path, text in texts.items():
        Path(path).write_text(text)
    run("git init --quiet", "git config user.name t", "git config user.email t@t", "git add --all", "git commit -qm toy")
    return root


@pytest.fixture
def finished(project, monkeypatch, tmp_path):
    """The project after its first `dvc repro`; gives the lines of the stages that have run since."""
    dvc = f"{sys.executable} -m dvc"
    monkeypatch.setenv("PATH", str(Path(sys.executable).parent), prepend=":")
    run(f"{dvc} init -q", f"{dvc} config core.analytics false", f"{dvc} repro -q", "git add --all", "git commit -qm results")
    (tmp_path / "runs").write_text("")

    def since() -> list[str]:
        lines = (tmp_path / "runs").read_text().splitlines()
        (tmp_path / "runs").write_text("")
        return lines

    return since


def run(*commands: str) -> None:
    for command in commands:
        subprocess.run(command.split(), check=True, capture_output=True)


def test_the_other_seeds_train_anew_on_the_same_data_and_only_what_is_missing_runs_again(finished, monkeypatch, capsys):
    before = Path("reports/metrics/train.json").read_bytes()
    monkeypatch.setenv("TOY_FAILS", "train 6")
    assert seeds("3") == 2
    assert finished() == ["train 5", "train 6"]
    assert "the loss is nan at update 3" in capsys.readouterr().err and not Path("reports/metrics/seeds.csv").exists()

    monkeypatch.delenv("TOY_FAILS")
    for log in ablation_runs.LOGS.glob("*.log"):
        log.unlink()  # what has diverged is not tried again while its log says so
    assert seeds("3") == 0
    assert finished() == ["train 6"]
    assert seeds("3") == 0 and finished() == []
    assert Path("reports/metrics/train.json").read_bytes() == before  # the committed results are as they were

    rows = {row["key"]: row for row in csv.DictReader(open("reports/metrics/seeds.csv", newline=""))}
    assert list(rows) == sorted([BLUR_0, BLUR_8, "train:rows/total", "train:valid/loss"])
    row = rows["train:valid/loss"]
    assert [row[f"seed_{seed}"] for seed in (4, 5, 6)] == ["40.5", "50.5", "60.5"]
    assert (row["mean"], row["num_seeds"], row["minimum"], row["maximum"]) == ("50.5", "3", "40.5", "60.5")
    assert float(row["standard_deviation"]) == pytest.approx(statistics.stdev([40.5, 50.5, 60.5]))
    assert rows[BLUR_8]["mean"] == "58.5" and rows["train:rows/total"]["standard_deviation"] == "0"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["1"], "N is 1: at least 2 seeds are needed"),
        (["3", "--targets", "trian"], "--targets: dvc.yaml has no stage 'trian' (did you mean train?)"),
        (["3", "--targets", "prepare"], "--targets: prepare does not depend on training_seed"),
        (["3"], "workspace has no dvc.lock"),
    ],
)
def test_what_cannot_be_repeated_is_said_before_any_work(project, capsys, arguments, said):
    assert seeds(*arguments) == 2
    captured = capsys.readouterr()
    assert captured.err.startswith("ERROR dalle seeds:") and said in captured.err and captured.err.count("\n") == 1
    assert not Path("../runs").exists()


def test_edited_parameters_are_named(finished, capsys):
    Path("params.yaml").write_text("seed: 0\ntraining_seed: 4\ntrain: {rate: 0.7}\n")
    assert seeds("2") == 2
    assert "train last ran with train.rate = 0.5" in capsys.readouterr().err
    Path("params.yaml").write_text("seed: 0\ntraining_seed: many\ntrain: {rate: 0.5}\n")
    assert seeds("2") == 2
    assert "training_seed: expected a whole number, got 'many'" in capsys.readouterr().err
    assert finished() == []


def test_the_table_is_whole_or_not_there_and_reads_back(tmp_path):
    path = tmp_path / "seeds.csv"
    assert write_seeds({0: {"a": 1.0, "b": 2.0}, 1: {"a": 2.0}}, path) == 2
    assert path.read_text() == (
        "key,mean,standard_deviation,num_seeds,minimum,maximum,seed_0,seed_1\n"
        "a,1.5,0.707106781,2,1,2,1,2\n"
        "b,2,,1,2,2,2,\n"
    )  # fmt: skip
    assert [entry.name for entry in tmp_path.iterdir()] == ["seeds.csv"]
    found = read_seeds(path.read_text(), "seeds.csv")
    assert found["a"].values == (1.0, 2.0) and found["b"].values == (2.0,)
    with pytest.raises(ValueError, match="seeds.csv: row 2: a value is not a number"):
        read_seeds(path.read_text().replace("a,1.5,0.707106781,2,1,2,1,2", "a,1.5,0.7,2,1,2,one,2"), "seeds.csv")
    with pytest.raises(ValueError, match="expected the columns key and seed_0"):
        read_seeds(json.dumps({}), "seeds.csv")
