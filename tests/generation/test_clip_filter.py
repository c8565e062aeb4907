"""The scores that filter_data gives its rule clip_score, beside the networks asked pair by pair."""

import io

import numpy as np
import pytest
import torch
from PIL import Image
from tiny_model_sets import save_clip, save_tokenizer

from dalle.clip.model import clip_text_tokens, encode_images, encode_text, images_to_tensor, load_clip
from dalle.data.bpe import CaptionTokenizer
from dalle.data.filtering.filter_pairs import filter_pairs
from dalle.data.filtering.rule_list import RULES, FilterConfig
from dalle.data.filtering.rules.clip_score import Config
from dalle.data.images import load_evaluation_images
from dalle.data.manifest import manifest_from_rows, write_manifest
from dalle.data.sources.rows import describe_image
from dalle.training.model_folder import weights_sha256
from harness.params_tree import FilterDataConfig
from stages.filter_data import scores_by


@pytest.fixture
def pairs(tmp_path):
    rows = []
    for index, caption in enumerate(["a red circle", "a blue star above a square", "something else"]):
        buffer = io.BytesIO()
        pixels = np.random.default_rng(index).integers(0, 256, (40, 50, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(buffer, "PNG")
        (tmp_path / f"{index}.png").write_bytes(buffer.getvalue())
        image = describe_image(buffer.getvalue(), tmp_path / f"{index}.png")
        rows.append({"pair_id": str(index), "image_id": str(index), "caption": caption, **image, "split": "train"})
    return manifest_from_rows(rows)


@pytest.fixture
def config(tmp_path):
    save_clip(tmp_path)
    save_tokenizer(tmp_path)
    folders = {"clip": str(tmp_path / "clip"), "tokenizer": str(tmp_path / "tokenizer")}
    return Config(**folders, clip_sha256=weights_sha256(tmp_path / "clip"), min_score=0.2)


@torch.inference_mode()
def score(clip, tokenizer, pair) -> float:
    image = encode_images(clip, images_to_tensor(load_evaluation_images(pair, clip.config.image_size)))
    text = encode_text(clip, clip_text_tokens(tokenizer, pair["caption"].tolist(), clip.context_length))
    return float((image * text).sum())


def test_pairs_below_the_score_are_dropped(pairs, config, tmp_path):
    clip, tokenizer = load_clip(tmp_path / "clip").eval(), CaptionTokenizer.load(tmp_path / "tokenizer")
    expected = np.array([score(clip, tokenizer, pairs[index : index + 1]) for index in range(3)])
    scores = scores_by(config, "cpu")
    np.testing.assert_allclose(scores(pairs), expected, atol=1e-5)
    middle = float(np.median(expected)) - 1e-4
    only = dict.fromkeys(RULES) | {"clip_score": Config(**{**vars(config), "min_score": middle})}
    write_manifest(pairs, tmp_path / "pairs.parquet")
    found = filter_pairs(
        tmp_path / "pairs.parquet", FilterConfig(**only), folder=tmp_path / "work", processes=1, clip_scores=scores
    )
    ((kept, dropped),) = found
    assert dropped["pair_id"].tolist() == [str(expected.argmin())] and len(kept) == 2
    assert dropped["detail"].tolist() == [f"similarity {expected.min():.3f}"]


def test_other_weights_are_refused(config):
    with pytest.raises(ValueError, match="clip_score.clip_sha256 is 00, but .*clip has "):
        scores_by(Config(**{**vars(config), "clip_sha256": "00"}), "cpu")


def test_scores_need_images_that_can_be_decoded(config):
    rules = FilterConfig(**(dict.fromkeys(RULES) | {"clip_score": config}))
    with pytest.raises(ValueError, match="rules.undecodable must have decode: true"):
        FilterDataConfig(rules=rules, valid_fraction=0.1)
