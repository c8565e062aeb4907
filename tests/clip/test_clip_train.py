from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch

from dalle.clip.model import clip_text_tokens
from dalle.clip.train import NegativesConfig, PairBatches, Pool, TrainClipConfig, caption_groups, shifted, train_clip
from dalle.training.checkpoint import Checkpoint
from dalle.training.log import MemoryLog
from dalle.training.loop import OptimConfig, RunOptions
from dalle.training.schedules import Schedule
from tiny_towers import RESNET, TRANSFORMER

OPTIM = OptimConfig(
    updates=60,
    batch_size=24,
    shards=1,
    learning_rate=Schedule(shape="cosine", start=3e-3, end=1e-4, updates=60, warmup_updates=5),
    plateau=None,
    betas=(0.9, 0.98),
    eps=1e-8,
    weight_decay=0.1,
    clip_norm=1.0,
    ema_decay=0.9,
    ema_every=1,
    precision="fp32",
    validate_every=30,
)
OPTIONS = RunOptions(device="cpu", data_workers=1, log_every=10, checkpoint_seconds=1e9)


def config(towers, **changes):
    negatives = NegativesConfig(words=False, pictures=0, mixed=0, sampled=0)
    optim = replace(OPTIM, **changes)
    return TrainClipConfig(towers=towers, negatives=negatives, max_shift=None, validation_pairs=12, optim=optim)


def run(pairs, tokenizer, towers, folder, *, seed=0, **changes):
    log = MemoryLog()
    model, metrics = train_clip(
        pairs,
        tokenizer,
        config(towers, **changes),
        image_size=32,
        seed=seed,
        options=OPTIONS,
        checkpoint=Checkpoint(folder / "state.pt"),
        log=log,
    )
    return model, metrics, log


@pytest.mark.parametrize("towers", [TRANSFORMER, RESNET], ids=["transformer", "resnet"])
def test_learns_which_caption_belongs_to_a_picture(pairs, tokenizer, towers, tmp_path):
    _, metrics, log = run(pairs, tokenizer, towers, tmp_path)
    assert set(metrics) == {"valid/loss", "valid/retrieval_top1", "valid/retrieval_top5"}
    assert metrics["valid/retrieval_top1"] >= 0.5  # chance is 1/12
    assert metrics["valid/retrieval_top5"] >= metrics["valid/retrieval_top1"]
    assert metrics["valid/loss"] < 1.5 < log.points[0][1]["train/loss"]
    assert all(1 <= point["train/logit_scale"] <= 100.01 for _, point in log.points if "train/logit_scale" in point)


def test_weights_are_a_function_of_the_seed(pairs, tokenizer, tmp_path):
    (first, _, _), (second, _, _), (other, _, _) = (
        run(pairs, tokenizer, RESNET, tmp_path, seed=seed, updates=4, validate_every=4) for seed in (1, 1, 2)
    )
    assert all(torch.equal(a, b) for a, b in zip(first.state_dict().values(), second.state_dict().values(), strict=True))
    assert not torch.equal(first.text_projection, other.text_projection)


def test_batches_keep_pictures_and_captions_together(pairs, tokenizer):
    train = pairs[pairs["split"] == "train"].reset_index(drop=True)
    batches = PairBatches(train, tokenizer, config(TRANSFORMER), image_size=32, seed=0)
    later, batch = batches(5), batches(2)
    assert torch.equal(batches(5)["images"], later["images"])
    assert batch["images"].shape == (24, 3, 32, 32)
    # a picture's colours above and below tell its caption
    looks = batch["images"][:, :, [4, -4]].mean(dim=3).flatten(1)
    nearest = torch.cdist(looks, looks).fill_diagonal_(torch.inf) < 0.15
    off_diagonal = ~torch.eye(24, dtype=torch.bool)
    assert torch.equal(nearest, batch["same_caption"] & off_diagonal)
    same_tokens = (batch["text_tokens"][:, None] == batch["text_tokens"]).all(dim=-1)
    assert torch.equal(same_tokens, batch["same_caption"])
    known = {tuple(tokens) for tokens in clip_text_tokens(tokenizer, sorted(set(train["caption"])), 24).tolist()}
    assert {tuple(tokens) for tokens in batch["text_tokens"].tolist()} <= known


def test_captions_that_differ_in_writing_only_are_equal():
    groups = caption_groups(pd.Series(["A red  star.", "a red star", "a red heart", " A RED STAR"]))
    assert groups.tolist() == [0, 0, 1, 0]


def test_a_split_without_pairs_is_named(pairs, tokenizer, tmp_path):
    with pytest.raises(ValueError, match="0 pairs of split 'valid'"):
        run(pairs[pairs["split"] == "train"], tokenizer, TRANSFORMER, tmp_path)


def test_config_names_the_rule(pairs, tokenizer, tmp_path):
    with pytest.raises(ValueError, match="validation_pairs must be at least 2, got 1"):
        replace(config(TRANSFORMER), validation_pairs=1)
    with pytest.raises(ValueError, match=r"optim\.batch_size must be at least 2"):
        run(pairs, tokenizer, TRANSFORMER, tmp_path, batch_size=1)


def pooled(pairs, num_pairs=10, negatives=2):
    """A pool of flat pictures: that of pair i has the grey i, its negatives i + 100 and i + 200 hundredths of a byte's range."""
    ids = pairs[pairs["split"] == "train"]["pair_id"].to_numpy()[:num_pairs]
    greys = np.arange(num_pairs)[:, None] + 100 * np.arange(1 + negatives)
    images = np.broadcast_to(greys[..., None, None, None], (*greys.shape, 32, 32, 3)).astype(np.uint8)
    return Pool(pair_ids=ids, images=images)


def test_half_of_a_batch_comes_from_the_pool_with_its_own_negatives(pairs, tokenizer):
    train = pairs[pairs["split"] == "train"].reset_index(drop=True)
    negatives = NegativesConfig(words=False, pictures=10, mixed=1, sampled=1)
    asked = replace(config(TRANSFORMER), negatives=negatives, max_shift=2)
    batch = PairBatches(train, tokenizer, asked, image_size=32, seed=0, pool=pooled(pairs))(3)
    assert batch["images"].shape == (24, 3, 32, 32) and batch["negative_images"].shape == (12, 2, 3, 32, 32)
    greys = (batch["images"][12:, 0, 0, 0] * 255).round().long()
    assert set(greys.tolist()) <= set(range(10)) and len(set(greys.tolist())) > 5  # twelve places, an epoch of ten
    wrong = (batch["negative_images"][:, :, 0, 0, 0] * 255).round().long()
    assert torch.equal(wrong, greys[:, None] + torch.tensor([100, 200]))
    expected = clip_text_tokens(tokenizer, train["caption"].iloc[greys.tolist()].tolist(), 24)
    assert torch.equal(batch["text_tokens"][12:], expected)


def test_a_pool_of_other_pairs_is_refused(pairs, tokenizer):
    train = pairs[pairs["split"] == "train"].reset_index(drop=True)
    other = replace(pooled(pairs), pair_ids=np.array([f"other{i}" for i in range(10)]))
    with pytest.raises(ValueError, match="not in the training split"):
        PairBatches(train, tokenizer, config(TRANSFORMER), image_size=32, seed=0, pool=other)


def test_learns_with_every_kind_of_negatives(pairs, tokenizer, tmp_path):
    asked = replace(config(RESNET), negatives=NegativesConfig(words=True, pictures=10, mixed=1, sampled=1), max_shift=1)
    model, metrics = train_clip(
        pairs, tokenizer, asked, image_size=32, seed=0, options=OPTIONS, checkpoint=Checkpoint(tmp_path / "state.pt"),
        log=MemoryLog(), pool=pooled(pairs),
    )
    assert metrics["valid/retrieval_top1"] >= 0.4  # chance is 1/12


def test_shifted_moves_and_repeats_the_edge():
    image = np.arange(5 * 5 * 3, dtype=np.uint8).reshape(5, 5, 3)
    assert np.array_equal(shifted(image, 0, np.random.default_rng(0)), image)
    offsets = set()
    for seed in range(60):
        moved = shifted(image, 1, np.random.default_rng(seed))
        down, right = divmod(int(moved[2, 2, 0] - image[2, 2, 0]) + 18, 15)
        offsets.add((down - 1, (right - 3) // 3))
        padded = np.pad(image, ((1, 1), (1, 1), (0, 0)), mode="edge")
        assert any(np.array_equal(moved, padded[y : y + 5, x : x + 5]) for y in range(3) for x in range(3))
    assert len(offsets) == 9


@pytest.mark.parametrize(
    ("values", "rule"),
    [
        ({"pictures": -1}, "pictures must not be negative, got -1"),
        ({"mixed": 1}, r"mixed \(1\) and sampled \(0\) are for each of pictures, which is 0"),
    ],
)
def test_negatives_name_the_rule(values, rule):
    with pytest.raises(ValueError, match=rule):
        NegativesConfig(**{"words": True, "pictures": 0, "mixed": 0, "sampled": 0, **values})
