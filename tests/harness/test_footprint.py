"""Estimates against what is really built and written."""

import io
import tarfile
from pathlib import Path

import numpy as np
import pytest
import torch

from dalle.clip.model import ClipConfig, build_clip
from harness import data_folders, footprint
from harness.params import build_params, parse_yaml
from harness.params_tree import Params
from harness.presets import preset_names, preset_text

PRESETS = Path(__file__).parents[2] / "presets"


def params_of(preset: str, *assignments: str) -> Params:
    return build_params(parse_yaml(preset_text(preset, list(assignments), PRESETS), preset))


@pytest.mark.parametrize("name", preset_names(PRESETS))
def test_every_preset_s_models_can_be_built(name):
    counts = footprint.parameters(params_of(name))
    assert list(counts) == ["train_detector", "train_dvae", "train_prior", "train_clip"] and min(counts.values()) > 10_000


@pytest.mark.parametrize("name", ["mini", "gpu", "coco", "cc3m"])
def test_clip_s_parameters_are_counted_as_open_clip_builds_it(name):
    """Two ResNets and two transformers."""
    towers = params_of(name).train_clip.towers
    config = ClipConfig(image_size=4 * towers.shrinks, text_vocab_size=1000, towers=towers)
    with torch.device("meta"):
        clip = build_clip(config)
    assert footprint.clip_parameters(config) == sum(value.numel() for value in clip.parameters())


def test_training_holds_parameters_moments_average_and_gradients_of_all_shards():
    params = params_of("cc3m")
    assert params.train_prior.optim.shards == 2
    assert footprint.training_bytes(params, {"train_prior": 10}) == {"train_prior": 10 * 4 * (1 + 2 + 1 + 2 + 1)}


def test_tokens_candidates_and_models_on_the_disk():
    params = params_of("paper")
    counts = {"train_prior": 12_000_000_000}
    sizes = footprint.disk_bytes(params, counts, 250_000_000, Path())
    assert sizes["precompute_tokens"] == 2 * 250_000_000 * 2 * 1024 * 2  # a copy, pairs, views, tokens, bytes
    assert sizes["sample@coco"] == 2 * 30_000 * 512 * 1024 * 2
    assert sizes["sample@cub"] == 2 * 29_330 * 512 * 1024 * 2
    assert sizes["train_prior"] == 2 * 48_000_000_000 and sizes["checkpoint"] == 2 * 4 * 48_000_000_000


def test_completions_on_the_disk():
    """Of rendered pictures, twice for DVC's copy: 120 pictures, 8 candidates, 64 x 64 pixels of two bytes."""
    params = params_of("mini")
    assert footprint.disk_bytes(params, {"train_prior": 1}, 1, Path())["complete"] == 2 * 120 * 8 * 64 * 64 * 2
    without = params_of("mini", "complete.source=null")
    assert footprint.disk_bytes(without, {"train_prior": 1}, 1, Path())["complete"] == 0
    rendered = [footprint.disk_bytes(given, {"train_prior": 1}, 1, Path())["prepare_data"] for given in (params, without)]
    assert rendered[0] - rendered[1] == 2 * 120 * footprint.RENDERED_PICTURE


def test_the_number_of_different_winners():
    scores = np.random.default_rng(0).random((4000, 64))
    sweep = (1, 2, 4, 8, 64)
    drawn = np.mean([len({row[:number].argmax() for number in sweep}) for row in scores])
    assert footprint.distinct_winners(sweep) == pytest.approx(drawn, rel=0.02)


def test_pairs_in_shards_are_estimated_from_their_bytes(tmp_path):
    assert data_folders.estimated_pairs(tmp_path) is None
    for shard, pairs in enumerate((300, 300, 150)):
        with tarfile.open(tmp_path / f"{shard:05d}.tar", "w") as tar:
            for key in range(pairs):
                for extension, size in (("jpg", 4000), ("txt", 40)):
                    member = tarfile.TarInfo(f"./{shard:05d}{key:04d}.{extension}")
                    member.size = size
                    tar.addfile(member, io.BytesIO(bytes(size)))
    (tmp_path / "00000.tar").write_bytes(b"no tar file")
    assert data_folders.estimated_pairs(tmp_path) == pytest.approx(450, rel=0.02)


@pytest.mark.parametrize(
    ("preset", "assignments", "pairs"),
    [
        ("mini", (), 60_000),
        ("coco", (), 414_113),
        ("cub", ("prepare_data.cub=miniworld",), 10 * 120 * 20),
        ("coco", ("prepare_data.coco=miniworld",), 5 * 1000),
    ],
)
def test_pairs_to_train_on(tmp_path, preset, assignments, pairs):
    assert data_folders.training_pairs(params_of(preset, *assignments), tmp_path) == pairs


@pytest.mark.parametrize(
    ("preset", "assignments", "captions"),
    [
        ("paper", (), [30_000, 29_330]),
        ("paper", ("sample.captions.cub=one_an_image",), [30_000, 2_933]),
        ("paper", ("sample.num_captions=null", "sample.captions.coco=pool"), [202_654, 29_330]),
        ("paper", ("prepare_data.coco_year=2017", "prepare_data.cub_split=train_test_split"), [5_000, 30_000]),
        ("mini", (), [1_000, 1_000]),
        ("mini", ("sample.num_captions=null", "sample.captions.cub=unique"), [1_000, 24_000]),
    ],
)
def test_a_domain_has_no_more_captions_than_there_are(tmp_path, preset, assignments, captions):
    params = params_of(preset, *assignments)
    assert [data_folders.evaluated_captions(params, domain, tmp_path) for domain in params.domains] == captions


def test_a_captioned_folder_is_counted_by_its_list(tmp_path):
    photos = tmp_path / "photos"
    photos.mkdir()
    for number in range(10):
        (photos / f"{number}.jpg").touch()
    (photos / "captions.jsonl").write_text("{}\n" * 40)
    every = ("sample.num_captions=null", "sample.captions.cub=unique")
    alone = params_of("mini", "prepare_data.cub=photos", *every)
    assert data_folders.evaluated_captions(alone, "cub", tmp_path) == 40
    shared = params_of("mini", "prepare_data.cub=photos", "prepare_data.web=photos", *every)
    assert data_folders.evaluated_captions(shared, "cub", tmp_path) == 4 and data_folders.training_pairs(shared, tmp_path) == 36
    own = params_of(
        "mini", "prepare_data.coco=photos", "prepare_data.web=coco", "sample.num_captions=null"
    )
    assert data_folders.evaluated_captions(own, "coco", tmp_path) == 1 and data_folders.training_pairs(own, tmp_path) == 36
    assert data_folders.training_pairs(params_of("mini", "prepare_data.web=photos"), tmp_path) == 40
