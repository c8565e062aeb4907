"""`evaluate.external` of params.yaml: other models' folders in the pipeline, guarded by their hash and their number."""

import json
import shutil
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from dalle.config import ConfigError
from dalle.data.manifest import manifest_from_rows, write_manifest
from dalle.evaluation.folders import folder_digest
from harness.evaluation_parts import external_samples, extractor_of, seen_in_training
from harness.params import build_params, parse_yaml
from harness.presets import preset_text
from harness.rivals import num_candidates, rival_samples

ROOT = Path(__file__).parents[2]
CAPTIONS = pd.DataFrame({"caption_id": ["b", "a", "c"], "caption": ["two", "one", "three"]})


@pytest.fixture
def root(tmp_path):
    (tmp_path / "external/gan").mkdir(parents=True)
    for shade, name in enumerate("abc"):
        Image.fromarray(np.full((8, 8, 3), shade, np.uint8)).save(tmp_path / f"external/gan/{name}.png")
    return tmp_path


def params(*assignments):
    text = preset_text("mini", [f"evaluate.{assignment}" for assignment in assignments], ROOT / "presets")
    return build_params(parse_yaml(text, "params.yaml"))


def entry(root, **changes):
    values = {"name": "df_gan", "domain": "coco", "folder": "external/gan", "match": "caption_id", "resize": "false"}
    values |= {"sha256": folder_digest(root / "external/gan"), **changes}
    return "{" + ", ".join(f"{key}: {value}" for key, value in values.items()) + "}"


def found(root, size=8, **changes):
    return external_samples(params(f"external=[{entry(root, **changes)}]").evaluate.external, "coco", CAPTIONS, root, size)


def test_images_come_in_the_order_of_the_captions(root):
    samples = found(root)["df_gan"]
    assert samples.images[:][:, 0, 0, 0].tolist() == [1, 0, 2] and samples.captions["caption"].tolist() == ["two", "one", "three"]
    assert found(root, match="none")["df_gan"].captions is None
    assert found(root, domain="cub") == {}


def test_a_changed_folder_or_another_number_is_refused(root):
    with pytest.raises(ValueError, match="df_gan: .*gan has sha256 [0-9a-f]{64}, params.yaml says 0000"):
        found(root, sha256="'0000'")
    Image.fromarray(np.zeros((8, 8, 3), np.uint8)).save(root / "external/gan/d.png")
    told = r"delete 1 of them, or say which 3 count in a samples.csv \(file, image_id; match: image_id\)"
    with pytest.raises(ValueError, match=f"df_gan: .*gan holds 4 images and the others bring 3: FID at unequal N .*; {told}"):
        found(root, match="none")
    with pytest.raises(ValueError, match="1 images have no caption and 0 captions no image: d"):
        found(root)
    for name in "cd":
        (root / f"external/gan/{name}.png").unlink()
    with pytest.raises(ValueError, match="holds 2 images and the others bring 3: .*; add 1, or set sample.num_captions to 2"):
        found(root, match="none")


def test_images_are_known_by_the_evaluated_image_alone(root, monkeypatch):
    """As the GANs' own code names them: an image of the domain, and which of its captions nobody knows."""
    monkeypatch.chdir(root)
    pictures = [root / f"external/gan/{name}.png" for name in "abc"]
    rows = [
        {
            "pair_id": name, "image_id": str(number), "caption": "c", "file": f"val2014/COCO_val2014_{number}.jpg", "offset": 0,
            "width": 8, "height": 8, "num_bytes": 9, "crc32": 0, "split": split,
        }
        for number, (name, split) in enumerate([("one", "val"), ("two", "val"), ("three", "train")])
    ]  # fmt: skip
    (root / "data/prepared").mkdir(parents=True)
    write_manifest(manifest_from_rows(rows), root / "data/prepared/coco.parquet")
    for number, picture in enumerate(pictures):
        picture.rename(picture.with_name(f"COCO_val2014_{number % 2}_s-1_{number}.png"))
    samples = found(root, match="image_id")["df_gan"]
    assert samples.captions is None and len(samples.images) == 3
    (root / "external/gan/COCO_val2014_0_s-1_2.png").rename(root / "external/gan/COCO_val2014_2_s-1_2.png")
    with pytest.raises(ValueError, match="evaluate.external, df_gan: .*1 of no evaluation image: .*COCO_val2014_2_s-1_2.png"):
        found(root, match="image_id")  # an image of the training split


def test_pictures_of_another_size_are_never_compared_silently(root):
    with pytest.raises(ValueError, match="df_gan: .*8 x 8 pixels, everything else is evaluated at 4 .*; set resize: true"):
        found(root, size=4)
    reduced = found(root, size=4, resize="true")["df_gan"].images
    assert reduced.shape == (3, 4, 4, 3) and reduced.file_size == 8 and reduced[:][:, 0, 0, 0].tolist() == [1, 0, 2]
    with pytest.raises(ValueError, match="8 x 8 pixels, everything else is evaluated at 16 .*; smaller ones cannot be used"):
        found(root, size=16)
    with pytest.raises(ValueError, match="df_gan: .*is 8 pixels wide, and would be enlarged to 16"):
        found(root, size=16, resize="true")


def test_rivals_are_the_baseline_the_fine_tuned_prior_and_the_folders_of_others(root, monkeypatch):
    monkeypatch.chdir(root)
    rows = [(name, "1", caption, 0, f"images/{name}.png") for name, caption in CAPTIONS.itertuples(index=False)]
    for domain, model in (("coco", "dfgan"), ("cub", "dfgan"), ("cub", "dalle_finetuned")):
        folder = root / "rivals" / domain / model
        shutil.copytree(root / "external/gan", folder / "images")
        columns = ["caption_id", "image_id", "caption", "candidate", "file"]
        pd.DataFrame(rows, columns=columns).to_csv(folder / "samples.csv", index=False)
    tree = params(f"external=[{entry(root, match='none', name='df_gan', resize='true')}]")
    tree = SimpleNamespace(**{**vars(tree), "image_size": 8})
    coco, cub = (rival_samples(tree, domain, CAPTIONS, root) for domain in ("coco", "cub"))
    assert list(coco) == ["dfgan", "df_gan"] and list(cub) == ["dfgan", "dalle_finetuned"]
    assert coco["dfgan"].captions["caption"].tolist() == ["two", "one", "three"] and coco["df_gan"].captions is None
    assert [num_candidates(tree, name) for name in ("dfgan", "df_gan", "dalle_finetuned")] == [1, 1, 32]
    (root / "rivals/cub/dfgan/images/a.png").unlink()
    with pytest.raises(ValueError, match=r"rivals/cub/dfgan/samples.csv does not match its folder: 1 listed and not there: a.png"):
        rival_samples(tree, "cub", CAPTIONS, root)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"name": "dalle"}, r"evaluate.external\[0\]: name must not be one of ours \(dalle, dalle_finetuned, dvae, real, dfgan\), got dalle"),
        ({"match": "image_key"}, r"evaluate.external\[0\].match: 'image_key' is not one of caption_id, image_id, none"),
        ({"domain": "flickr"}, r"evaluate.external\[0\].domain: 'flickr' is not one of coco, cub"),
    ],
)
def test_a_wrong_entry_is_named(root, changes, message):
    with pytest.raises(ConfigError, match=message):
        params(f"external=[{entry(root, **changes)}]")
    with pytest.raises(ConfigError, match="two models of one domain have one name"):
        params(f"external=[{entry(root)}, {entry(root)}]")


def test_features_that_need_a_file_are_refused_before_any_stage():
    with pytest.raises(ConfigError, match=r"evaluate: features: inception needs the file weights-inception-2015-12-05-6726825d\.pth"):
        params("features=inception")
    with pytest.raises(ConfigError, match="rerank_subsets must be 0, or 2 and more for an interval, got 1"):
        params("rerank_subsets=1")


def test_clip_features_need_a_model(root):
    with pytest.raises(ValueError, match="features: clip needs a model, .*nowhere holds none: dvc repro train_clip"):
        extractor_of(params("features=clip", "weights=nowhere").evaluate, root, "cpu")


def test_a_reference_of_which_too_little_is_left_has_no_scores_without_the_overlap(tmp_path, monkeypatch, capsys):
    """12 samples and 20 reference images: 10 that nobody has seen are enough for this protocol, 9 and none are not."""
    monkeypatch.chdir(tmp_path)
    protocol = params("kid_subset_size=10").evaluate
    ids = [str(index) for index in range(20)]
    assert seen_in_training("coco", ids, protocol, 12) is None  # nobody looked
    (tmp_path / "data/overlap").mkdir(parents=True)
    for number in (0, 10, 11, 20):
        (tmp_path / "data/overlap/coco.json").write_text(json.dumps({"image_ids": ids[:number]}))
        seen = seen_in_training("coco", ids, protocol, 12)
        said = capsys.readouterr().out
        if number <= 10:
            assert seen.sum() == number and said == ""
        else:
            assert seen is None and said.startswith(f"coco: no scores without the {number} of 20 reference images seen")
