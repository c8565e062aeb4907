"""Other ways to a dVAE than the default's: no later stage notices, and the report is drawn."""

import hashlib
import json
import re
import shutil

import pytest
from project_copies import copy_of
from torture import outs

from dalle.dvae.model import load_dvae

pytestmark = pytest.mark.pipeline


def test_a_vq_vae_goes_through_to_the_report(finished, tmp_path):
    project = copy_of(finished, tmp_path / "vq")
    project.edit("quantizer: gumbel", "quantizer: vq")
    done = project.run("dvc", "repro")
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-3000:]
    assert outs(project)["models/dvae"] != outs(finished)["models/dvae"]
    metrics = json.loads((project.folder / "reports/metrics/train_dvae.json").read_text())
    assert metrics["valid/codebook_used"] > 0.5 and metrics["valid/reconstruction_fid"] > 0
    assert load_dvae(project.folder / "models/dvae").config == load_dvae(finished.folder / "models/dvae").config


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
