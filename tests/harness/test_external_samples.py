"""`evaluate.external` of params.yaml: other models' folders in the pipeline, guarded by their hash and their number."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from dalle.config import ConfigError
from dalle.evaluation.folders import folder_digest
from harness.evaluation_parts import external_samples, extractor_of, seen_in_training
from harness.params import build_params, parse_yaml
from harness.presets import preset_text

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
    values = {"name": "df_gan", "domain": "coco", "folder": "external/gan", "match": "caption_id"}
    values |= {"sha256": folder_digest(root / "external/gan"), **changes}
    return "{" + ", ".join(f"{key}: {value}" for key, value in values.items()) + "}"


def found(root, **changes):
    return external_samples(params(f"external=[{entry(root, **changes)}]").evaluate.external, "coco", CAPTIONS, root)


def test_images_come_in_the_order_of_the_captions(root):
    samples = found(root)["df_gan"]
    assert samples.images[:][:, 0, 0, 0].tolist() == [1, 0, 2] and samples.captions["caption"].tolist() == ["two", "one", "three"]
    assert found(root, match="none")["df_gan"].captions is None
    assert found(root, domain="cub") == {}


def test_a_changed_folder_or_another_number_is_refused(root):
    with pytest.raises(ValueError, match="df_gan: .*gan has sha256 [0-9a-f]{64}, params.yaml says 0000"):
        found(root, sha256="'0000'")
    Image.fromarray(np.zeros((8, 8, 3), np.uint8)).save(root / "external/gan/d.png")
    with pytest.raises(ValueError, match="df_gan: .*gan holds 4 images and the others bring 3: FID at unequal N"):
        found(root, match="none")
    with pytest.raises(ValueError, match="1 images have no caption and 0 captions no image: d"):
        found(root)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"name": "dalle"}, r"evaluate.external\[0\]: name must not be one of ours \(dalle, dvae, real, dfgan\), got dalle"),
        ({"match": "image_key"}, r"evaluate.external\[0\].match: 'image_key' is not one of caption_id, none"),
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
