"""`dalle trace`: from an output back to the runs, commits, parameters and data behind it."""

import json
from pathlib import Path

import pytest

from harness import tracking
from harness.params import read_yaml
from harness.pipeline import read_pipeline
from harness.presets import read_presets
from harness.stage import execute
from harness.uploader import upload_finished
from harness.trace import FIGURE_SOURCES, figure_stages, parameters_behind, trace

ROOT = Path(__file__).parents[2]


@pytest.fixture
def pipeline():
    return read_pipeline(ROOT / "dvc.yaml", read_yaml(ROOT / "params.yaml"))


def traced(path: str, project: Path) -> str:
    (project / "presets").mkdir(exist_ok=True)
    preset = (project / "params.yaml").read_text().replace("rate: 1.0e-4", "rate: 5.0e-4")
    (project / "presets/mini.yaml").write_text(preset)
    return "\n".join(trace(path, Path("dvc.yaml"), Path("params.yaml"), Path("presets"), project))


def train(stage):
    with stage.output("models/toy.txt") as path:
        path.write_text("model")
    stage.finish({"valid/total": 1.0})


def test_every_figure_leads_back_to_stages_that_exist(pipeline):
    addresses = {entry.address for entry in pipeline}
    for figure, sources in FIGURE_SOURCES.items():
        name = f"{figure}-cub" if any("DOMAIN" in source for source in sources) else figure
        behind = {entry.address for entry in figure_stages(name, pipeline)}
        assert behind <= addresses and {source.replace("DOMAIN", "cub") for source in sources} <= behind
    best = [entry.address for entry in figure_stages("best_of-coco", pipeline)]
    assert best[0] == "prepare_data" and "train_prior" in best and not any("cub" in entry for entry in best)
    samples = {entry.address for entry in figure_stages("samples-coco", pipeline)}
    assert "sample_baseline@dfgan-coco" in samples and not any("finetune" in entry for entry in samples)
    assert [entry.address for entry in figure_stages("train_dvae", pipeline)] == ["prepare_data", "filter_data", "train_dvae"]


def test_parameters_are_compared_with_the_preset_only_where_they_matter(pipeline):
    stages = figure_stages("train_dvae", pipeline)
    params = {"seed": 0, "image_size": 64, "train_dvae.beta.end": 0.0, "train_prior.layers": 99}
    found = parameters_behind(stages, params, read_presets(ROOT / "presets"))
    assert found.preset == "mini" and found.differing == ["train_dvae.beta.end: 1.65 -> 0.0"]


def test_an_output_names_run_data_commit_and_parameters_as_they_were_used(tracked_project, toy_tree, monkeypatch):
    assert execute(train, "train", [], toy_tree) == 0
    params = Path("params.yaml")
    params.write_text(params.read_text().replace("seed: 3", "seed: 4"))  # edited since: not what was used
    record = json.loads(Path("runs/train.json").read_text())
    text = traced("models/toy.txt", tracked_project)
    assert text.startswith("models/toy.txt, made by train")
    assert f"read data/rows {record['data']['data/rows'][:12]}" in text
    assert "prepare              not run here: 'dvc repro prepare' runs it" in text
    assert "seed: 4 -> 3" in text and "train.rate: 0.0005 -> 0.0001" in text
    assert upload_finished(tracked_project) is None
    assert "FINISHED  " in traced("reports/metrics/train.json", tracked_project)
    monkeypatch.setattr(tracking, "find_run", lambda client, run: None)
    assert f"run {record['run']}, not known to this MLflow" in traced("train", tracked_project)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "sqlite:////proc/no/such/folder/mlflow.db")
    assert f"run {record['run']}, MLflow cannot be reached" in traced("train", tracked_project)


def test_inputs_that_have_changed_since_are_said(project, toy_tree):
    assert execute(train, "train", [], toy_tree) == 0
    lock = "stages:\n  prepare:\n    outs:\n    - path: data/rows\n      md5: ffffffffffffffffffffffffffffffff.dir\n"
    Path("dvc.lock").write_text(lock)
    assert "(now ffffffffffff: this stage is out of date)" in traced("train", project)


def test_what_nothing_writes_is_named_with_the_nearest_output(project):
    with pytest.raises(ValueError, match=r"models/toy.tx: no stage writes this.*did you mean 'models/toy.txt'"):
        traced("models/toy.tx", project)
