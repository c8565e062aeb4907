"""The same parameters give the same bytes, from nothing and in another folder; other parameters redo what they must."""

import json
import re

import pytest
from project_copies import Project, copy_project
from torture import outs

pytestmark = pytest.mark.pipeline


@pytest.fixture(scope="module")
def twin(tmp_path_factory) -> Project:
    """The same pipeline once more, from nothing: with many more checkpoints, which must not matter."""
    project = copy_project(tmp_path_factory.mktemp("twin") / "project")
    project.edit("checkpoint_seconds: 60", "checkpoint_seconds: 1")
    done = project.run("dvc", "repro")
    assert done.returncode == 0, done.stderr[-3000:]
    return project


def test_two_runs_from_nothing_are_the_same_bytes(finished, twin):
    first, second = outs(finished), outs(twin)
    assert len(first) == 66 and {path for path in first if first[path] != second.get(path)} == set()


def test_an_ablation_of_beta_redoes_what_depends_on_it_and_nothing_else(twin):
    """By DVC's own words; going back afterwards computes nothing at all."""
    before = outs(twin)
    twin.edit("end: 1.65", "end: 6.6")
    ablated = twin.run("dvc", "repro")
    assert ablated.returncode == 0, ablated.stderr[-3000:]
    ran = set(re.findall(r"Running stage '(.+?)'", ablated.stdout))
    kept = set(re.findall(r"Stage '(.+?)' didn't change, skipping", ablated.stdout))
    assert kept == {
        "prepare_data", "filter_data", "train_detector", "find_overlap@coco", "find_overlap@cub", "train_tokenizer", "train_clip",
        "train_baseline@dfgan-coco", "train_baseline@dfgan-cub", "sample_baseline@dfgan-coco", "sample_baseline@dfgan-cub",
    }  # fmt: skip
    assert ran == {
        "train_dvae", "precompute_tokens", "train_prior", "sample@coco", "sample@cub",
        "rerank@coco", "rerank@cub", "complete", "finetune_prior@cub", "sample_finetuned@cub", "evaluate@coco", "evaluate@cub",
        "human_eval", "tally_votes", "report",
    }  # fmt: skip
    runs = {stage: json.loads((twin.folder / f"runs/{stage}.json").read_text())["run"] for stage in ("train_dvae", "evaluate-coco")}
    assert outs(twin)["models/dvae"] != before["models/dvae"]

    twin.edit("end: 6.6", "end: 1.65")
    back = twin.run("dvc", "repro")
    assert back.returncode == 0 and "Running stage" not in back.stdout and "is cached - skipping run" in back.stdout
    assert outs(twin) == before
    for stage, run in runs.items():
        record = json.loads((twin.folder / f"runs/{stage}.json").read_text())
        assert record["run"] != run, "the run that made these files comes back with them"
        assert record["params"].get("train_dvae.beta.end", 1.65) == 1.65


def test_a_finished_project_verifies_against_its_own_folder(finished):
    done = finished.run("harness.cli", "verify", "--against", str(finished.folder))
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr
    outs, metrics = (next(line for line in done.stdout.splitlines() if line.startswith(start)) for start in ("outs:", "metrics:"))
    assert outs.endswith(" the same bytes") and "," not in outs
    assert metrics.endswith(" equal") and "," not in metrics
