"""dvc.yaml against the code: a stage lists every module it computes with, so that an edit redoes exactly what it must."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from harness.params import read_yaml
from harness.pipeline import read_pipeline

ROOT = Path(__file__).parents[2]
PIPELINE = read_pipeline(ROOT / "dvc.yaml", read_yaml(ROOT / "params.yaml"))
# what cannot change a result: progress bars, and the checks of params.yaml (its values are hashed as params)
NO_RESULT = {"src/dalle/progress.py", "src/dalle/config.py"}
# every stage runs in the harness, which hands checkpoints and options to those that train; these list all of training/
TRAINING = ("adamw", "averaging", "checkpoint", "log", "loop", "muon", "precision", "schedules")
HARNESS = {f"src/dalle/training/{name}.py" for name in TRAINING}
# one process that has loaded other people's packages, and none of ours, forks for every stage: each imports from nothing
IMPORTED = """
import importlib, json, os, sys
import numpy, open_clip, pandas, torch, torchvision
assert not [name for name in sys.modules if name.split(".")[0] in ("dalle", "harness", "stages")]
for stage in sys.argv[1:]:
    if os.fork() == 0:
        importlib.import_module("stages." + stage)
        files = [getattr(module, "__file__", None) for name, module in sys.modules.items() if name.startswith("dalle.")]
        print(json.dumps([stage, files]), flush=True)
        os._exit(0)
    _, status = os.wait()
    assert status == 0, stage
"""


@pytest.fixture(scope="module")
def imported() -> dict[str, set[str]]:
    """Files of the library by the stage that imports them."""
    names = sorted({entry.name for entry in PIPELINE})
    process = subprocess.run([sys.executable, "-c", IMPORTED, *names], cwd=ROOT, capture_output=True, text=True, check=True)
    found = dict(json.loads(line) for line in process.stdout.splitlines())
    assert sorted(found) == names
    return {name: {Path(file).relative_to(ROOT).as_posix() for file in files if file} for name, files in found.items()}


@pytest.mark.parametrize("stage", [entry for entry in PIPELINE if entry.item in (None, "coco")], ids=lambda entry: entry.name)
def test_stage_lists_the_modules_it_imports(stage, imported):
    files = imported[stage.name]
    modules = {file for file in files if not file.endswith("__init__.py")} - NO_RESULT - HARNESS
    assert modules, "the stage uses the library"
    if stage.name.startswith("train_") and stage.name != "train_tokenizer":
        assert "src/dalle/training" in stage.deps
    unlisted = {file for file in modules if not any(file == dep or file.startswith(f"{dep}/") for dep in stage.deps)}
    if stage.name == "report":  # it may import any part of the library to draw; what it reads is listed as data
        unlisted = {file for file in unlisted if file.startswith("src/dalle/report/")}
    assert not unlisted


@pytest.mark.parametrize("stage", PIPELINE, ids=lambda entry: entry.label)
def test_stage_lists_code_that_exists(stage):
    code = [dep for dep in stage.deps if dep.split("/")[0] in ("src", "stages")]
    assert f"stages/{stage.name}.py" in code
    assert [dep for dep in code if not (ROOT / dep).exists()] == []


def test_outs_are_ignored_by_git():
    ignored = (ROOT / ".gitignore").read_text().splitlines()
    kept = ("reports/",)  # figures, metrics and curves are for visitors
    for stage in PIPELINE:
        for out in stage.outs:
            assert out.startswith(kept) or f"/{out.split('/')[0]}/" in ignored, f"{stage.label}: {out}"
