"""Other ways to a dVAE than the default's and another prior, what is done again for them, and inputs that a stage must notice."""

import hashlib
import json
import re
import shutil

import numpy as np
import pandas as pd
import pytest
import torch
from project_copies import Project, copy_of
from torture import outs, record

from dalle.data.manifest import read_manifest, write_manifest
from dalle.dvae.model import load_dvae
from dalle.prior.kinds import load_prior
from dalle.training.model_folder import save_model

pytestmark = pytest.mark.pipeline


@pytest.fixture(scope="module")
def vq(finished, tmp_path_factory) -> Project:
    """A copy of the finished project to become a VQ-VAE with its PixelCNN, and to come back."""
    return copy_of(finished, tmp_path_factory.mktemp("vq") / "project")


def test_an_ablation_redoes_what_depends_on_it_and_nothing_else(vq, finished):
    """By DVC's own words. Beta is a parameter of the dVAE alone, and another dVAE asks for another prior; then all of it."""
    vq.edit("end: 1.65", "end: 6.6")
    assert changed(vq) == {"train_dvae": {"params.yaml": {"train_dvae": "modified"}}}
    vq.edit("quantizer: gumbel", "quantizer: vq")
    ran, kept = repro(vq, "precompute_tokens")
    assert ran == {"train_dvae", "precompute_tokens"} and kept == {"prepare_data", "filter_data"}
    assert outs(vq)["models/dvae"] != outs(finished)["models/dvae"]
    assert changed(vq)["train_prior"] == {"data/tokens": "modified", "models/dvae": "modified"}
    vq.edit("kind: transformer", "kind: pixelcnn")
    ran, kept = repro(vq)
    assert kept == {
        "prepare_data", "filter_data", "train_detector", "find_overlap@coco", "find_overlap@cub", "train_tokenizer", "train_dvae",
        "precompute_tokens",
    }  # fmt: skip
    assert ran == {
        "train_prior", "train_clip", "sample@coco", "sample@cub", "train_baseline@dfgan-coco", "train_baseline@dfgan-cub",
        "sample_baseline@dfgan-coco", "sample_baseline@dfgan-cub",
        "rerank@coco", "rerank@cub", "complete", "finetune_prior@cub", "sample_finetuned@cub", "evaluate@coco", "evaluate@cub",
        "human_eval", "tally_votes", "report",
    }  # fmt: skip


def test_a_vq_vae_with_its_pixelcnn_goes_through_to_the_report(vq, finished):
    """Both at once, as in the VQ-VAE's paper; each is a choice of its own."""
    metrics = json.loads((vq.folder / "reports/metrics/train_dvae.json").read_text())
    # how many codes thirty updates leave depends on the pictures: one code would be a collapse
    assert metrics["valid/codebook_used"] > 0.1 and metrics["valid/reconstruction_fid"] > 0
    assert load_dvae(vq.folder / "models/dvae").config == load_dvae(finished.folder / "models/dvae").config
    assert load_prior(vq.folder / "models/prior").config.kind == "pixelcnn"
    candidates = np.load(vq.folder / "samples/coco/candidates.npy")
    assert candidates.shape == np.load(finished.folder / "samples/coco/candidates.npy").shape
    figures = [{path.name for path in (made.folder / "reports/figures").iterdir()} for made in (finished, vq)]
    assert figures[0] - figures[1] == {"attention_masks.png"}, "convolutions have none"


def test_going_back_afterwards_computes_nothing_at_all(vq, finished):
    others = {stage: record(vq, stage)["run"] for stage in ("train_dvae", "evaluate@coco")}
    vq.edit("end: 6.6", "end: 1.65")
    vq.edit("quantizer: vq", "quantizer: gumbel")
    vq.edit("kind: pixelcnn", "kind: transformer")
    back = vq.run("dvc", "repro")
    assert back.returncode == 0 and "Running stage" not in back.stdout and "is cached - skipping run" in back.stdout
    assert outs(vq) == outs(finished)
    for stage, run in others.items():
        assert record(vq, stage)["run"] != run
        assert record(vq, stage) == record(finished, stage), "the run that made these files comes back with them"


def changed(project: Project) -> dict[str, dict]:
    """What DVC says has changed of every stage's inputs, by the stage."""
    status = project.run("dvc", "status", "--json")
    assert status.returncode == 0, status.stderr
    found: dict[str, dict] = {}
    for stage, changes in json.loads(status.stdout).items():
        found[stage] = {path: how for change in changes for path, how in change.get("changed deps", {}).items()}
    return found


def repro(project: Project, *addresses: str) -> tuple[set[str], set[str]]:
    """The stages that were run and those that were not, as DVC says."""
    done = project.run("dvc", "repro", *addresses)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-3000:]
    skipped = re.findall(r"Stage '(.+?)' didn't change, skipping", done.stdout)
    return set(re.findall(r"Running stage '(.+?)'", done.stdout)), set(skipped)


def test_a_finished_dvae_takes_the_place_of_stage_1(finished, tmp_path):
    """The same weights from a folder: the same model, and so nothing after it is done again but the report of its training."""
    project = copy_of(finished, tmp_path / "start")
    shutil.copytree(finished.folder / "models/dvae", project.folder / "external/dvae")
    sha256 = hashlib.sha256((project.folder / "external/dvae/model.safetensors").read_bytes()).hexdigest()
    project.edit("init: scratch", "init: external/dvae")
    project.edit("init_sha256: null", f"init_sha256: {sha256}")
    text = (project.folder / "params.yaml").read_text()
    changed = re.sub(r"(?s)(train_dvae:.*?optim:.*?\n    updates: )\d+", r"\g<1>0", text, count=1)
    (project.folder / "params.yaml").write_text(changed)
    assert repro(project)[0] == {"train_dvae", "report"}
    assert outs(project)["models/dvae"] == outs(finished)["models/dvae"]
    record = json.loads((project.folder / "runs/train_dvae.json").read_text())
    assert "images_per_second" not in record["throughput"], "nothing was trained"


def test_no_prior_is_trained_on_the_tokens_of_another_dvae(finished, tmp_path, capsys):
    """The same sizes and other weights: nothing but the digest in the store can tell."""
    project = copy_of(finished, tmp_path / "other")
    dvae = load_dvae(project.folder / "models/dvae")
    with torch.no_grad():
        next(dvae.parameters()).add_(1e-3)
    shutil.rmtree(project.folder / "models/dvae")  # DVC links outs to its cache, which must stay as it is
    save_model(dvae, dvae.config, project.folder / "models/dvae")
    before = (project.folder / "reports/metrics/train_prior.json").read_bytes()
    assert project.stage("train_prior") == 2
    assert "ERROR train_prior: the token store was made with another dVAE" in capsys.readouterr().err
    assert (project.folder / "reports/metrics/train_prior.json").read_bytes() == before


def test_captions_too_long_are_warned_of_or_refused(finished, tmp_path, capsys):
    project = copy_of(finished, tmp_path / "long")
    captions = pd.read_csv(project.folder / "samples/coco/captions.csv")
    metrics = project.folder / "reports/metrics/sample-coco.json"
    before = json.loads(metrics.read_text())["captions/truncated"]  # so small a vocabulary makes some long
    prepared = project.folder / "data/prepared/coco.parquet"
    manifest = read_manifest(prepared)
    manifest.loc[manifest["pair_id"] == str(captions["caption_id"][0]), "caption"] = "a red star " * 20
    prepared.unlink()
    write_manifest(manifest, prepared)
    assert project.stage("sample", "coco") == 0
    said = capsys.readouterr().err
    longer = f"{before + 1} of 12 captions are longer than the prior's 32 text tokens"
    assert f"WARNING sample@coco: {longer} ('{captions['caption_id'][0]}' has" in said
    assert json.loads(metrics.read_text())["captions/truncated"] == before + 1
    project.edit("long_captions: truncate", "long_captions: refuse")
    assert project.stage("sample", "coco") == 2 and f"'{captions['caption_id'][0]}' has" in capsys.readouterr().err
