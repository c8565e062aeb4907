import dataclasses
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch

from dalle.data.bpe import train_tokenizer
from dalle.data.token_shards import join_shards, write_shard
from dalle.data.token_store import open_token_store
from dalle.prior import train as training
from dalle.prior.batches import EvaluatedPairs, TrainingBatches
from dalle.prior.kinds import KINDS, load_prior
from dalle.prior.pixelcnn import PixelCNNSizes
from dalle.prior.train import TrainPriorConfig, mean_losses, train_prior
from dalle.training.checkpoint import Checkpoint
from dalle.training.log import MemoryLog
from dalle.training.loop import OptimConfig, RunOptions
from dalle.training.model_folder import save_model
from dalle.training.schedules import Schedule

OPTIONS = RunOptions(device="cpu", data_workers=0, log_every=1, checkpoint_seconds=1e9)


class WordTokenizer:
    """Every letter is a token; dropout repeats a letter, so that it shows in the length."""

    vocab_size = 26

    def encode(self, caption: str) -> list[int]:
        return [ord(letter) - ord("a") for letter in caption]

    def encode_with_dropout(self, caption: str, dropout: float, rng: np.random.Generator) -> list[int]:
        return [token for token in self.encode(caption) for _ in range(1 + int(rng.random() < dropout))]


@pytest.fixture
def tokenizer() -> WordTokenizer:
    return WordTokenizer()


@pytest.fixture
def store() -> SimpleNamespace:
    """80 pairs, 2 views, 3x3 tokens of 8: letter i of the caption decides row i of the image, view 1 adds 1 to every token."""
    rng = np.random.default_rng(0)
    letters = rng.integers(0, 4, (80, 3))
    first_view = letters.repeat(3, 1)
    pairs = pd.DataFrame(
        {
            "pair_id": [f"pair-{i}" for i in range(80)],
            "image_id": [f"image-{i}" for i in range(80)],
            "caption": ["".join(chr(ord("a") + letter) for letter in row) for row in letters],
            "split": ["valid" if i % 5 == 4 else "train" for i in range(80)],
        }
    )
    image_tokens = np.stack([first_view, first_view + 1], 1).astype(np.uint16)
    return SimpleNamespace(image_tokens=image_tokens, pairs=pairs, codebook_size=8, grid_size=3)


def config(updates=60, **changes) -> TrainPriorConfig:
    optim = OptimConfig(
        updates=updates,
        batch_size=16,
        shards=1,
        learning_rate=Schedule(shape="cosine", start=1e-2, end=1e-3, updates=60, warmup_updates=5),
        plateau=None,
        betas=(0.9, 0.96),
        eps=1e-8,
        weight_decay=0.045,
        clip_norm=4.0,
        ema_decay=0.9,
        ema_every=2,
        precision="fp32",
        validate_every=1000,
    )
    values = {
        "kind": "transformer",
        "layers": 2,
        "width": 32,
        "heads": 2,
        "conv_kernel": 3,
        "masks": "paper",
        "pixelcnn": PixelCNNSizes(layers=2, width=32, kernel=3),
        "text_length": 4,
        "bpe_dropout": 0.0,
        "image_loss_weight": 7 / 8,
        "loss_on_padding": False,
        "activation_checkpointing": False,
        "optim": optim,
    }
    return TrainPriorConfig(**{**values, **changes})


def run(store, tokenizer, prior_config, folder, *, options=OPTIONS, log=None):
    log = log or MemoryLog()
    prior, metrics = train_prior(
        store, tokenizer, prior_config, seed=1, options=options, checkpoint=Checkpoint(folder / "state.pt"), log=log
    )
    return prior, metrics, log


@pytest.mark.parametrize("kind", KINDS)
def test_sixty_updates_learn_what_captions_say_of_images(kind, store, tokenizer, tmp_path):
    prior, metrics, log = run(store, tokenizer, config(kind=kind), tmp_path)
    first, last = log.points[0][1], log.points[-2][1]
    assert first["train/image_loss"] == pytest.approx(np.log(8), rel=0.05)  # uniform over the codebook at the start
    # a letter chooses among 4 and a view among 2: the image alone would leave 3 * ln 4 + ln 2 nats over its 9 tokens
    assert metrics["valid/image_loss"] < (3 * np.log(4) + np.log(2)) / 9
    assert last["train/loss"] < first["train/loss"] / 3
    assert set(metrics) == {"valid/loss", "valid/text_loss", "valid/image_loss", "valid/truncated", "train_eval/image_loss"}
    assert metrics["valid/loss"] == pytest.approx(metrics["valid/text_loss"] / 8 + metrics["valid/image_loss"] * 7 / 8)
    assert {"train/loss", "train/text_loss", "train/image_loss"} <= set(first)


@pytest.mark.parametrize("kind", KINDS)
def test_resumed_equals_uninterrupted_bit_for_bit(kind, store, tokenizer, tmp_path, monkeypatch):
    asked = config(updates=12, bpe_dropout=0.3, kind=kind)
    whole, metrics, whole_log = run(store, tokenizer, asked, tmp_path / "whole")

    class PowerCut(Exception):
        pass

    class InterruptedBatches(TrainingBatches):
        def __call__(self, step):
            if step == 7:
                raise PowerCut
            return super().__call__(step)

    options, log = RunOptions(device="cpu", data_workers=0, log_every=3, checkpoint_seconds=0), MemoryLog()
    with monkeypatch.context() as patch, pytest.raises(PowerCut):
        patch.setattr(training, "TrainingBatches", InterruptedBatches)
        run(store, tokenizer, asked, tmp_path / "cut", options=options, log=log)
    assert log.points[-1][0] < 7
    resumed, resumed_metrics, _ = run(store, tokenizer, asked, tmp_path / "cut", options=options, log=log)
    assert [a.equal(b) for a, b in zip(whole.parameters(), resumed.parameters(), strict=True)].count(False) == 0
    assert resumed_metrics == metrics


def test_a_training_that_computes_activations_twice_ends_with_the_same_weights(store, tokenizer, tmp_path):
    """Shard by shard in threads and in bf16, which the second computation has to find as the first did."""
    few = dataclasses.replace(config().optim, updates=6, shards=2, precision="bf16")
    once, metrics, _ = run(store, tokenizer, config(optim=few), tmp_path / "once")
    twice, same, _ = run(store, tokenizer, config(optim=few, activation_checkpointing=True), tmp_path / "twice")
    assert twice.activation_checkpointing and same == metrics
    assert all(a.equal(b) for a, b in zip(once.parameters(), twice.parameters(), strict=True))


def batches(store, tokenizer, *, bpe_dropout=0.5, text_length=8, seed=1) -> TrainingBatches:
    return TrainingBatches(store, tokenizer, text_length=text_length, bpe_dropout=bpe_dropout, batch_size=16, seed=seed)


def test_a_batch_depends_on_seed_and_step_alone(store, tokenizer):
    forwards = batches(store, tokenizer)
    backwards = batches(store, tokenizer)
    ahead = [forwards(step) for step in range(5)]
    behind = [backwards(step) for step in reversed(range(5))][::-1]
    for (text, image), (other_text, other_image) in zip(ahead, behind, strict=True):
        assert torch.equal(text, other_text) and torch.equal(image, other_image)
        assert text.dtype == image.dtype == torch.int64
    assert not torch.equal(ahead[0][1], batches(store, tokenizer, seed=2)(0)[1])


def test_batches_draw_views_and_dropout_from_the_train_split_only(store, tokenizer):
    is_train = (store.pairs["split"] == "train").to_numpy()
    store.image_tokens[~is_train] = 7  # nothing of the valid split may appear
    drawn = [batches(store, tokenizer)(step) for step in range(8)]  # two epochs
    image = torch.cat([image for _, image in drawn])
    text = torch.cat([text for text, _ in drawn])
    assert image.max() < 7
    stored = {tuple(view) for pair in store.image_tokens[is_train].tolist() for view in pair}
    assert {tuple(row) for row in image.tolist()} <= stored
    lengths = (text < 26).sum(1)
    assert set(lengths.tolist()) == {3, 4, 5, 6}
    # without dropout a letter of the caption is the row of the first view, and one less than the second
    text, image = batches(store, tokenizer, bpe_dropout=0.0)(0)
    views = image[:, ::3] - text[:, :3]
    assert set(views[:, 0].tolist()) == {0, 1} and (views == views[:, :1]).all()


def test_views_and_dropout_are_drawn_anew_for_every_step_and_slot(store, tokenizer):
    store.pairs["caption"] = "aaaa"
    store.image_tokens[:] = np.arange(2, dtype=np.uint16)[None, :, None]  # a token is the number of its view
    steps = [batches(store, tokenizer)(step) for step in range(6)]
    views = torch.stack([image[:, 0] for _, image in steps])
    lengths = torch.stack([(text < 26).sum(1) for text, _ in steps])
    for drawn in (views, lengths):
        assert len(drawn.unique(dim=0)) == 6 and len(drawn.unique(dim=1).T) > 10


def test_padding_ids_follow_the_position(store, tokenizer):
    text, _ = batches(store, tokenizer, bpe_dropout=0.0, text_length=6)(0)
    assert (text[:, 3:] == torch.tensor([26 + 3, 26 + 4, 26 + 5])).all()


def test_validation_is_the_same_for_any_batch_size(store, tokenizer, tmp_path):
    prior, _, _ = run(store, tokenizer, config(updates=2), tmp_path)
    results = []
    for size in (1, 5, 16, 100):
        pairs = EvaluatedPairs(store, tokenizer, split="valid", num_pairs=16, text_length=4, batch_size=size)
        results.append(mean_losses(prior, pairs, config(), OPTIONS))
    np.testing.assert_allclose(results, [results[0]] * 4, rtol=1e-5)


def test_evaluated_pairs_are_spread_and_their_truncation_counted(store, tokenizer):
    store.pairs.loc[:39, "caption"] = "abcdefgh"  # half of either split
    pairs = EvaluatedPairs(store, tokenizer, split="valid", num_pairs=100, text_length=4, batch_size=8)
    assert pairs.truncated == 0.5
    few = EvaluatedPairs(store, tokenizer, split="train", num_pairs=4, text_length=4, batch_size=8)
    text, image = next(iter(few))
    np.testing.assert_array_equal(image, store.image_tokens[[0, 26, 52, 78], 0])


def test_on_a_written_store_with_a_learned_tokenizer(store, tmp_path):
    captions = [f"a red square number {caption}" for caption in store.pairs["caption"]]
    sizes, pairs = {"codebook_size": 8, "grid_size": 3}, store.pairs.assign(caption=captions)
    for number, rows in enumerate((slice(0, 50), slice(50, 80))):
        write_shard(tmp_path / "shards", number, store.image_tokens[rows], pairs[rows], **sizes)
    join_shards(tmp_path / "shards", 2, tmp_path / "tokens", views=2, **sizes, dvae_sha256="none")
    tokenizer = train_tokenizer(captions, vocab_size=260)
    prior, metrics, _ = run(
        open_token_store(tmp_path / "tokens"), tokenizer, config(updates=3, bpe_dropout=0.1, text_length=20), tmp_path
    )
    assert prior.config.text_vocab_size == tokenizer.vocab_size
    assert all(np.isfinite(value) for value in metrics.values())
    save_model(prior, prior.config, tmp_path / "prior")
    assert load_prior(tmp_path / "prior").config == prior.config


def test_stores_that_cannot_be_trained_on(store, tokenizer, tmp_path):
    def refused(message, **changes):
        with pytest.raises(ValueError, match=message):
            run(SimpleNamespace(**{**vars(store), **changes}), tokenizer, config(updates=1), tmp_path)

    refused("pair 'pair-[0-9]+' holds image token 4, outside the store's codebook of 4", codebook_size=4)
    refused("holds 9 tokens an image, its grid of side 4 needs 16", grid_size=4)
    refused("no pairs in the split 'valid'", pairs=store.pairs.assign(split="train"))
    refused("no pairs in the split 'train'", pairs=store.pairs.assign(split="valid"))
    refused(r"80 of 80 captions have no text \('pair-0', 'pair-1', 'pair-2', ...\)", pairs=store.pairs.assign(caption=" "))


@pytest.mark.parametrize(
    "change, message",
    [
        ({"heads": 5}, "heads must divide width, got width 32 and heads 5"),
        ({"conv_kernel": 2}, "conv_kernel must be odd"),
        ({"bpe_dropout": 1.5}, r"bpe_dropout must be in \[0, 1\], got 1.5"),
        ({"image_loss_weight": -0.1}, r"image_loss_weight must be in \[0, 1\]"),
        ({"text_length": 0}, "text_length must be at least 1"),
    ],
)
def test_configs_that_train_nothing(change, message):
    with pytest.raises(ValueError, match=message):
        config(**change)
