"""Section and stage human_eval: what cannot be compared is said by its key; a small workspace gives sheets twice alike."""

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from dalle.config import ConfigError
from dalle.data.manifest import manifest_from_rows, write_manifest
from harness.params import build_params, parse_yaml
from harness.presets import preset_text
from harness.stage import execute
from stages.human_eval import main

ROOT = Path(__file__).parents[2]
GAN = "{name: dm_gan, domain: coco, folder: external/gan, match: %s, resize: false, sha256: '0'}"
NUM_CAPTIONS, SIZE = 6, 16


def text(*assignments: str) -> str:
    return preset_text("smoke", list(assignments), ROOT / "presets")


@pytest.mark.parametrize(
    ("assignments", "message"),
    [
        (["domains=[cub]"], "human_eval.domain is coco, which is not among the domains"),
        (["human_eval.domain=flickr"], "human_eval.domain: 'flickr' is not one of coco, cub"),
        (["human_eval.rival=dalle"], "human_eval: model and rival are both dalle"),
        (["human_eval.rival=attn_gan"], "human_eval.rival is attn_gan, but coco has dalle, dfgan$"),
        (["human_eval.model=dvae"], "human_eval.model is dvae, but coco has dalle, dfgan$"),
        (
            ["human_eval.rival=dm_gan", f"evaluate.external=[{GAN % 'none'}]"],
            "human_eval.rival is dm_gan, which evaluate.external gives match: none: nobody knows which caption",
        ),
        (
            ["human_eval.rival=dm_gan", f"evaluate.external=[{GAN % 'image_id'}]"],
            "human_eval.rival is dm_gan, which evaluate.external gives match: image_id: nobody knows which caption",
        ),
        (["human_eval.rival=dm_gan", f"evaluate.external=[{GAN % 'caption_id'}]", "human_eval.domain=cub"], "but cub has"),
        (["human_eval.num_pairs=1"], "human_eval: num_pairs must be at least 2, got 1"),
        (["human_eval.repeats=-1"], "human_eval: repeats must be at least 0, got -1"),
    ],
)
def test_what_cannot_be_compared(assignments, message):
    with pytest.raises(ConfigError, match=message):
        build_params(parse_yaml(text(*assignments), "params.yaml"))


def test_an_external_model_may_be_compared_with_a_baseline():
    values = parse_yaml(text("human_eval.model=dm_gan", f"evaluate.external=[{GAN % 'caption_id'}]"), "params.yaml")
    assert build_params(values).human_eval.model == "dm_gan"


@pytest.fixture
def workspace(tmp_path):
    """What the stage reads, by itself: captions, reranked winners, a rival's pictures and real ones, each of one colour."""
    for name in ("src", "stages", "dvc.yaml"):
        (tmp_path / name).symlink_to(ROOT / name)
    assignments = [f"image_size={SIZE}", "run.tracking=false", "human_eval.raters=3"]
    (tmp_path / "params.yaml").write_text(
        text(*assignments, "domains=[coco]", "finetune_prior.domains=[]", "complete.source=null", "train_dvae.num_groups=3"), encoding="utf-8"
    )
    ids = [f"c{row}" for row in range(NUM_CAPTIONS)]
    captions = pd.DataFrame({"caption_id": ids, "image_id": [f"i{row}" for row in range(NUM_CAPTIONS)]})
    captions["caption"] = [f"hedgehog {row}" for row in range(NUM_CAPTIONS)]
    (tmp_path / "samples/coco").mkdir(parents=True)
    captions.to_csv(tmp_path / "samples/coco/captions.csv", index=False)
    write_samples(tmp_path / "reranked/coco", captions, 80)
    ranking = pd.DataFrame({"caption_id": ids, "candidates": 8, "candidate": 0, "score": 0.5})
    ranking.to_csv(tmp_path / "reranked/coco/ranking.csv", index=False)
    write_samples(tmp_path / "rivals/coco/dfgan", captions, 160)
    (tmp_path / "data/prepared").mkdir(parents=True)
    rows = []
    for row in range(2 * NUM_CAPTIONS):
        file = tmp_path / f"data/{row}.png"
        picture(240, row).save(file)
        where = {"file": f"data/{row}.png", "offset": 0, "num_bytes": file.stat().st_size, "width": SIZE, "height": SIZE}
        caption = {"pair_id": f"c{row}", "image_id": f"i{row}", "caption": f"hedgehog {row}"}
        rows.append({**caption, **where, "crc32": 0, "split": "val"})
    write_manifest(manifest_from_rows(rows), tmp_path / "data/prepared/coco.parquet")
    return tmp_path


def picture(red: int, row: int) -> Image.Image:
    return Image.fromarray(np.full((SIZE, SIZE, 3), (red, 10 * row, 0), np.uint8))


def write_samples(folder: Path, captions: pd.DataFrame, red: int) -> None:
    (folder / "images").mkdir(parents=True)
    files = [f"images/{caption_id}.png" for caption_id in captions["caption_id"]]
    for row, file in enumerate(files):
        picture(red, row).save(folder / file)
    captions.assign(candidate=0, file=files).to_csv(folder / "samples.csv", index=False)


def digests(folder: Path) -> dict[str, str]:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def test_the_stage_gives_the_same_files_twice(workspace, monkeypatch):
    """In two processes, whose sets of strings have other orders."""
    command, environment = [sys.executable, "-m", "stages.human_eval"], {**os.environ, "PYTHONPATH": "src:."}
    subprocess.run(command, cwd=workspace, env={**environment, "PYTHONHASHSEED": "1"}, check=True, timeout=120)
    made = digests(workspace / "human_eval")
    sheets = [f"sheets/s01r{rater}.html" for rater in (1, 2, 3)]
    assert {"key.csv", "sample_sheets.pdf", "voting_sheets.pdf", "exports/README.md", *sheets} <= set(made)
    key = pd.read_csv(workspace / "human_eval/key.csv")
    assert key["kind"].value_counts().to_dict() == {"pair": 18, "repeat": 3, "attention_noise": 3, "attention_caption": 3}
    assert set(key.loc[key["kind"] == "pair", "left"]) == {"dalle", "dfgan"}
    monkeypatch.chdir(workspace)
    assert execute(main, "human_eval", []) == 0
    assert digests(workspace / "human_eval") == made


def test_a_picture_that_is_missing_is_named(workspace, monkeypatch, capsys):
    (workspace / "rivals/coco/dfgan/images/c4.png").unlink()
    monkeypatch.chdir(workspace)
    assert execute(main, "human_eval", []) == 2 and "c4.png" in capsys.readouterr().err
    assert not (workspace / "human_eval").exists()
