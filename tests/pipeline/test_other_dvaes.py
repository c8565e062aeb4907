"""Other ways to a dVAE than the default's and another prior, of which no later stage notices; inputs that one must notice."""

import hashlib
import json
import re
import shutil

import numpy as np
import pandas as pd
import pytest
import torch
from project_copies import copy_of
from torture import outs

from dalle.data.manifest import read_manifest, write_manifest
from dalle.dvae.model import load_dvae
from dalle.prior.kinds import load_prior
from dalle.training.model_folder import save_model

pytestmark = pytest.mark.pipeline


def test_a_vq_vae_with_its_pixelcnn_goes_through_to_the_report(finished, tmp_path):
    """Both at once, as in the VQ-VAE's paper; each is a choice of its own."""
    project = copy_of(finished, tmp_path / "vq")
    project.edit("quantizer: gumbel", "quantizer: vq")
    project.edit("kind: transformer", "kind: pixelcnn")
    done = project.run("dvc", "repro")
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-3000:]
    assert outs(project)["models/dvae"] != outs(finished)["models/dvae"]
    metrics = json.loads((project.folder / "reports/metrics/train_dvae.json").read_text())
    # how many codes thirty updates leave depends on the pictures: one code would be a collapse
    assert metrics["valid/codebook_used"] > 0.1 and metrics["valid/reconstruction_fid"] > 0
    assert load_dvae(project.folder / "models/dvae").config == load_dvae(finished.folder / "models/dvae").config
    assert load_prior(project.folder / "models/prior").config.kind == "pixelcnn"
    candidates = np.load(project.folder / "samples/coco/candidates.npy")
    assert candidates.shape == np.load(finished.folder / "samples/coco/candidates.npy").shape
    figures = [{path.name for path in (made.folder / "reports/figures").iterdir()} for made in (finished, project)]
    assert figures[0] - figures[1] == {"attention_masks.png"}, "convolutions have none"


def test_a_finished_dvae_takes_the_place_of_stage_1(finished, tmp_path):
    """The same weights from a folder: the same model, and so nothing after it is done again but the report of its training."""
    project = copy_of(finished, tmp_path / "start")
    shutil.copytree(finished.folder / "models/dvae", project.folder / "external/dvae")
    sha256 = hashlib.sha256((project.folder / "external/dvae/model.safetensors").read_bytes()).hexdigest()
    project.edit("init: scratch", "init: external/dvae")
    project.edit("init_sha256: null", f"init_sha256: {sha256}")
    text = (project.folder / "params.yaml").read_text()
    changed = re.sub(r"(?s)(train_dvae:.*?optim:\s+updates: )\d+", r"\g<1>0", text, count=1)
    (project.folder / "params.yaml").write_text(changed)
    done = project.run("dvc", "repro")
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-3000:]
    assert set(re.findall(r"Running stage '(.+?)'", done.stdout)) == {"train_dvae", "report"}
    assert outs(project)["models/dvae"] == outs(finished)["models/dvae"]
    record = json.loads((project.folder / "runs/train_dvae.json").read_text())
    assert "images_per_second" not in record["throughput"], "nothing was trained"


def test_no_prior_is_trained_on_the_tokens_of_another_dvae(finished, tmp_path):
    """The same sizes and other weights: nothing but the digest in the store can tell."""
    project = copy_of(finished, tmp_path / "other")
    dvae = load_dvae(project.folder / "models/dvae")
    with torch.no_grad():
        next(dvae.parameters()).add_(1e-3)
    shutil.rmtree(project.folder / "models/dvae")  # DVC links outs to its cache, which must stay as it is
    save_model(dvae, dvae.config, project.folder / "models/dvae")
    before = (project.folder / "reports/metrics/train_prior.json").read_bytes()
    done = project.run("stages.train_prior")
    assert done.returncode == 2 and "ERROR train_prior: the token store was made with another dVAE" in done.stderr
    assert (project.folder / "reports/metrics/train_prior.json").read_bytes() == before


def test_captions_too_long_are_warned_of_or_refused(finished, tmp_path):
    project = copy_of(finished, tmp_path / "long")
    captions = pd.read_csv(project.folder / "samples/coco/captions.csv")
    metrics = project.folder / "reports/metrics/sample-coco.json"
    before = json.loads(metrics.read_text())["captions/truncated"]  # so small a vocabulary makes some long
    prepared = project.folder / "data/prepared/coco.parquet"
    manifest = read_manifest(prepared)
    manifest.loc[manifest["pair_id"] == str(captions["caption_id"][0]), "caption"] = "a red star " * 20
    prepared.unlink()
    write_manifest(manifest, prepared)
    done = project.run("stages.sample", "coco")
    assert done.returncode == 0, done.stderr
    longer = f"{before + 1} of 12 captions are longer than the prior's 32 text tokens"
    assert f"WARNING sample@coco: {longer} ('{captions['caption_id'][0]}' has" in done.stderr
    assert json.loads(metrics.read_text())["captions/truncated"] == before + 1
    project.edit("long_captions: truncate", "long_captions: refuse")
    refused = project.run("stages.sample", "coco")
    assert refused.returncode == 2 and f"'{captions['caption_id'][0]}' has" in refused.stderr
