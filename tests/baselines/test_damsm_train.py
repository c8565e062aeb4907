from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch

from dalle.baselines.damsm.loss import Gammas
from dalle.baselines.damsm.model import TextEncoderConfig, encode_sentences
from dalle.baselines.damsm.train import DamsmBatches, ImageFeatures, TrainDamsmConfig, caption_groups, train_damsm
from dalle.baselines.damsm.words import build_vocabulary
from dalle.data.manifest import manifest_from_rows
from dalle.training.checkpoint import Checkpoint
from dalle.training.log import MemoryLog
from dalle.training.loop import OptimConfig, RunOptions
from dalle.training.schedules import Schedule

COLOURS = ["red", "green", "blue", "yellow", "black"]
CONFIG = TrainDamsmConfig(
    encoder=TextEncoderConfig(embedding_width=24, width=32, dropout=0.2, max_words=5),
    gammas=Gammas(gamma1=4.0, gamma2=5.0, gamma3=10.0),
    min_count=1,
    valid_fraction=0.25,
    validation_pairs=16,
    optim=OptimConfig(
        updates=100,
        batch_size=16,
        shards=1,
        learning_rate=Schedule(shape="cosine", start=1e-2, end=1e-3, updates=100, warmup_updates=5),
        plateau=None,
        betas=(0.9, 0.98),
        eps=1e-8,
        weight_decay=0.01,
        clip_norm=1.0,
        ema_decay=0.9,
        ema_every=1,
        precision="fp32",
        validate_every=50,
    ),
)
LONG = replace(CONFIG, encoder=replace(CONFIG.encoder, max_words=9))
FEW = replace(CONFIG, optim=replace(CONFIG.optim, updates=6, validate_every=6))


@pytest.fixture(scope="module")
def pairs():
    """160 images of one colour above another, three captions each that say so."""
    rows = []
    for number in range(160):
        upper, lower = colours_of(number)
        captions = (f"{upper} above {lower}", f"{lower} below {upper}", f"here is some {upper} above some {lower}")
        for caption_number, caption in enumerate(captions):
            place = {"file": "none", "offset": 0, "num_bytes": 1, "width": 8, "height": 8, "crc32": 0}
            ids = {"pair_id": f"{number}-{caption_number}", "image_id": f"image {number}"}
            rows.append({**ids, "caption": caption, "split": "train", **place})
    return manifest_from_rows(rows)


def colours_of(number):
    return COLOURS[number % 5], COLOURS[(number + 1 + number // 5 % 4) % 5]


@pytest.fixture(scope="module")
def features():
    """Four regions an image, the upper two of one colour: its number, whether it is above, and noise."""
    rng, regions = np.random.default_rng(0), np.zeros((160, 4, 12), np.float16)
    for number in range(160):
        for region, colour in enumerate(np.repeat(colours_of(number), 2)):
            regions[number, region, COLOURS.index(colour) + 5 * (region // 2)] = 2
    regions += rng.normal(0, 0.1, regions.shape).astype(np.float16)
    return ImageFeatures(regions, regions.astype(np.float32).mean(axis=1))


def run(pairs, features, folder, *, config=CONFIG, seed=0, checkpoint_seconds=1e9):
    log = MemoryLog()
    options = RunOptions(device="cpu", data_workers=1, log_every=10, checkpoint_seconds=checkpoint_seconds)
    checkpoint = Checkpoint(folder / "state.pt")
    encoder, metrics = train_damsm(pairs, features, config, seed=seed, options=options, checkpoint=checkpoint, log=log)
    return encoder, metrics, log


def test_learns_which_caption_belongs_to_a_picture(pairs, features, tmp_path):
    encoder, metrics, log = run(pairs, features, tmp_path, config=LONG)
    names = {f"valid/{kind}_top{n}" for kind in ("retrieval", "word_retrieval") for n in (1, 5)}
    assert set(metrics) == {"valid/loss", "valid/pairs", *names}
    chance = 1 / metrics["valid/pairs"]
    assert 8 <= metrics["valid/pairs"] <= 16
    assert metrics["valid/retrieval_top1"] >= 0.6 > 5 * chance
    assert metrics["valid/word_retrieval_top1"] >= 0.7
    assert metrics["valid/retrieval_top5"] == 1
    first, last = log.points[0][1], log.points[-2][1]
    assert {"train/word_loss", "train/sentence_loss"} <= set(first)
    assert last["train/word_loss"] < first["train/word_loss"] / 3
    assert last["train/sentence_loss"] < first["train/sentence_loss"] / 3
    said = encode_sentences(encoder, ["red above blue", "blue below red", "green above yellow"])
    said /= np.linalg.norm(said, axis=1, keepdims=True)
    assert said[0] @ said[1] > said[0] @ said[2] + 0.3


def test_features_of_other_pictures_teach_nothing_that_holds(pairs, features, tmp_path):
    order = np.random.default_rng(1).permutation(160)
    _, metrics, _ = run(pairs, ImageFeatures(features.regions[order], features.whole[order]), tmp_path, config=LONG)
    assert metrics["valid/retrieval_top1"] <= 0.4


def test_weights_are_a_function_of_the_seed(pairs, features, tmp_path):
    first, second, other = (run(pairs, features, tmp_path, config=FEW, seed=seed)[0].state_dict() for seed in (1, 1, 2))
    assert all(torch.equal(a, b) for a, b in zip(first.values(), second.values(), strict=True))
    assert not torch.equal(first["embedding.weight"], other["embedding.weight"])


def test_a_stopped_training_ends_with_the_same_weights(pairs, features, tmp_path):
    expected = run(pairs, features, tmp_path / "whole", config=FEW)[0].state_dict()
    saved = Checkpoint(tmp_path / "stopped" / "state.pt")
    run(pairs, features, saved.path.parent, config=FEW, checkpoint_seconds=0)
    assert saved.load()["step"] == 5  # before the last update: the run below has one to do
    torch.rand(3)  # torch's own generator is elsewhere by now
    resumed = run(pairs, features, saved.path.parent, config=FEW)[0].state_dict()
    assert all(torch.equal(a, b) for a, b in zip(expected.values(), resumed.values(), strict=True))


def test_batches_keep_pictures_and_captions_together(pairs, features):
    training = pairs.assign(row=pd.factorize(pairs["image_id"])[0]).query("row >= 100").reset_index(drop=True)
    vocabulary = build_vocabulary(training["caption"], 1)
    batches = DamsmBatches(training, features, vocabulary, CONFIG, seed=0)
    later, batch = batches(5), batches(2)
    assert all(torch.equal(value, later[name]) for name, value in batches(5).items())
    assert (batch["regions"].shape, batch["whole"].shape, batch["regions"].dtype) == ((16, 4, 12), (16, 12), torch.float32)
    texts, seen = [], set()
    for regions, word_ids in zip(batch["regions"], batch["word_ids"], strict=True):
        words = [vocabulary.words[number] for number in word_ids.tolist() if number]
        upper, lower = COLOURS[regions[0, :5].argmax()], COLOURS[regions[2, 5:].argmax() % 5]
        assert {word for word in words if word in COLOURS} <= {upper, lower}
        texts.append(words)
        (image,) = np.flatnonzero((features.regions.astype(np.float32) == regions.numpy()).all(axis=(1, 2)))
        assert image >= 100
        seen.add(image)
    assert len(seen) == 16  # one caption an image
    assert batch["same"].diagonal().all()
    whole = [" ".join(words) if len(words) < 5 else None for words in texts]  # of 5 words some may be lost
    for i, j in ((i, j) for i in range(16) for j in range(16) if i != j and whole[i]):
        assert bool(batch["same"][i, j]) == (whole[i] == whole[j])


def test_all_captions_of_an_image_are_drawn_and_long_ones_are_cut(pairs, features):
    training = pairs.assign(row=pd.factorize(pairs["image_id"])[0])
    batches = DamsmBatches(training, features, build_vocabulary(pairs["caption"], 1), CONFIG, seed=0)
    lengths = np.concatenate([(batches(step)["word_ids"] != 0).sum(dim=1).numpy() for step in range(60)])
    assert set(lengths.tolist()) == {3, 5}  # the third has seven words
    assert (lengths == 5).mean() == pytest.approx(1 / 3, abs=0.08)


def test_an_image_twice_in_a_batch_is_no_wrong_answer_for_itself(pairs, features):
    training = pairs.assign(row=pd.factorize(pairs["image_id"])[0]).query("row < 3").reset_index(drop=True)
    batch = DamsmBatches(training, features, build_vocabulary(pairs["caption"], 1), CONFIG, seed=0)(0)
    twice = (batch["whole"][:, None] == batch["whole"]).all(dim=2)
    assert twice.sum() > 16
    assert torch.equal(batch["same"] & twice, twice)


def test_captions_of_the_same_words_are_equal():
    assert caption_groups(pd.Series(["A red  star.", "a red star", "a red heart", " A RED STAR"])).tolist() == [0, 0, 1, 0]


def test_held_out_words_are_unknown(pairs, features, tmp_path):
    own_word = pairs.assign(caption=pairs["caption"] + " n" + pairs["image_id"].str.split().str[1])
    vocabulary = run(own_word, features, tmp_path, config=FEW)[0].vocabulary
    own_words = [word for word in vocabulary.words if word.startswith("n")]
    assert 160 * 0.6 < len(own_words) < 160 * 0.9


def test_features_of_other_images_are_refused(pairs, features, tmp_path):
    with pytest.raises(ValueError, match="have 159 images, the features are of 160 pictures' regions and 160 pictures"):
        run(pairs[pairs["image_id"] != "image 0"], features, tmp_path)


def test_too_few_images_to_hold_any_out_are_named(pairs, features, tmp_path):
    few = pairs[pairs["image_id"].isin(["image 0", "image 1"])]
    with pytest.raises(ValueError, match=r"valid_fraction 0\.25 of 2 images leaves \d for training and \d held out"):
        run(few, ImageFeatures(features.regions[:2], features.whole[:2]), tmp_path)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"optim": replace(CONFIG.optim, shards=2)}, r"optim\.shards must be 1, got 2"),
        ({"optim": replace(CONFIG.optim, batch_size=1)}, r"optim\.batch_size must be at least 2"),
        ({"min_count": 0}, "min_count must be at least 1, got 0"),
        ({"valid_fraction": 0.0}, "valid_fraction must be above 0 and below 1, got 0"),
        ({"validation_pairs": 1}, "validation_pairs must be at least 2, got 1"),
    ],
)
def test_config_names_the_rule(changes, message):
    with pytest.raises(ValueError, match=message):
        replace(CONFIG, **changes)
