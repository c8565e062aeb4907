"""Fine-tuning: it starts from the weights it is given, learns the new pairs, and can be killed at any update."""

import dataclasses
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch

from dalle.finetuning import train as finetuning
from dalle.finetuning.train import FinetunePriorConfig, finetune_prior
from dalle.prior.batches import TrainingBatches
from dalle.prior.kinds import KINDS, build_prior, initialise_prior
from dalle.prior.pixelcnn import PixelCNNSizes
from dalle.prior.train import TrainPriorConfig, prior_config, train_prior
from dalle.training.checkpoint import Checkpoint
from dalle.training.log import MemoryLog
from dalle.training.loop import OptimConfig, RunOptions
from dalle.training.schedules import Schedule
from harness.params import build_params, parse_yaml
from harness.presets import preset_text

ROOT = Path(__file__).parents[2]
OPTIONS = RunOptions(device="cpu", data_workers=0, log_every=3, checkpoint_seconds=1e9)
OPTIM = OptimConfig(
    updates=40,
    batch_size=16,
    shards=1,
    learning_rate=Schedule(shape="cosine", start=1e-2, end=1e-3, updates=40, warmup_updates=4),
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


class LetterTokenizer:
    """Every letter is a token; dropout repeats one."""

    vocab_size = 26

    def encode(self, caption):
        return [ord(letter) - ord("a") for letter in caption]

    def encode_with_dropout(self, caption, dropout, rng):
        return [token for token in self.encode(caption) for _ in range(1 + int(rng.random() < dropout))]


def store_of(code_of_letter, **changes):
    """80 pairs of 2 x 2 codes out of 8: letter i of two says row i, by `code_of_letter`."""
    letters = np.random.default_rng(0).integers(0, 4, (80, 2))
    codes = np.vectorize(code_of_letter)(letters).repeat(2, 1)
    pairs = pd.DataFrame(
        {
            "pair_id": [f"pair-{number}" for number in range(80)],
            "caption": ["".join(chr(ord("a") + letter) for letter in row) for row in letters],
            "split": ["valid" if number % 5 == 4 else "train" for number in range(80)],
        }
    )
    values = {"image_tokens": codes[:, None].astype(np.uint16), "pairs": pairs, "codebook_size": 8, "grid_size": 2}
    return SimpleNamespace(**{**values, "dvae_sha256": "the dVAE", **changes})


WEB, BIRDS = store_of(lambda letter: letter), store_of(lambda letter: 7 - letter)


def trained(kind="transformer") -> TrainPriorConfig:
    return TrainPriorConfig(
        kind=kind,
        layers=2,
        width=32,
        heads=2,
        conv_kernel=3,
        masks="paper",
        pixelcnn=PixelCNNSizes(layers=2, width=32, kernel=3),
        text_length=4,
        bpe_dropout=0.1,
        image_loss_weight=7 / 8,
        loss_on_padding=False,
        activation_checkpointing=False,
        optim=OPTIM,
    )


def untrained(kind="transformer"):
    prior = build_prior(prior_config(trained(kind), 26, WEB))
    initialise_prior(prior, torch.Generator().manual_seed(3))
    return prior


def finetune(prior, folder, *, store=BIRDS, options=OPTIONS, log=None, tokenizer=None, dvae_sha256="the dVAE", **optim):
    return finetune_prior(
        prior,
        store,
        tokenizer or LetterTokenizer(),
        trained(prior.config.kind),
        dataclasses.replace(OPTIM, **optim),
        dvae_sha256=dvae_sha256,
        seed=1,
        options=options,
        checkpoint=Checkpoint(folder / "state.pt"),
        log=log or MemoryLog(),
    )


@pytest.mark.parametrize("kind", KINDS)
def test_no_updates_leave_every_weight_as_it_was(kind, tmp_path):
    prior = untrained(kind)
    before = {name: value.clone() for name, value in prior.state_dict().items()}
    metrics = finetune(prior, tmp_path, updates=0)
    assert all(value.equal(before[name]) for name, value in prior.state_dict().items())
    for name in ("loss", "text_loss", "image_loss"):
        assert metrics[f"before/{name}"] == metrics[f"valid/{name}"]


@pytest.mark.parametrize("kind", KINDS)
def test_the_loss_on_the_new_pairs_falls_from_what_the_trained_prior_had(kind, tmp_path):
    """Trained where letters mean other codes: at first worse than knowing nothing, ln 8, then far better than that."""
    options = {"seed": 0, "options": OPTIONS, "log": MemoryLog()}
    prior, _ = train_prior(WEB, LetterTokenizer(), trained(kind), checkpoint=Checkpoint(tmp_path / "web.pt"), **options)
    metrics = finetune(prior, tmp_path)
    assert metrics["before/image_loss"] > np.log(8)
    assert metrics["valid/image_loss"] < 0.7 * np.log(8)
    assert {"before/loss", "before/text_loss", "valid/loss", "train_eval/image_loss"} <= set(metrics)


@pytest.mark.parametrize("kind", KINDS)
def test_a_resumed_fine_tuning_equals_an_uninterrupted_one(kind, tmp_path, monkeypatch):
    whole = untrained(kind)
    metrics = finetune(whole, tmp_path / "whole", updates=12)

    class PowerCut(Exception):
        pass

    class InterruptedBatches(TrainingBatches):
        def __call__(self, step):
            if step == 7:
                raise PowerCut
            return super().__call__(step)

    often, log = dataclasses.replace(OPTIONS, checkpoint_seconds=0), MemoryLog()
    with monkeypatch.context() as patch, pytest.raises(PowerCut):
        patch.setattr(finetuning, "TrainingBatches", InterruptedBatches)
        finetune(untrained(kind), tmp_path / "cut", updates=12, options=often, log=log)
    resumed = untrained(kind)
    assert finetune(resumed, tmp_path / "cut", updates=12, options=often, log=log) == metrics
    assert all(a.equal(b) for a, b in zip(whole.parameters(), resumed.parameters(), strict=True))
    assert not all(a.equal(b) for a, b in zip(whole.parameters(), untrained(kind).parameters(), strict=True))


def test_what_was_made_with_another_model_is_refused(tmp_path):
    with pytest.raises(ValueError, match="the token store was made with another dVAE: its weights had the sha256 the dVAE"):
        finetune(untrained(), tmp_path, dvae_sha256="another")
    with pytest.raises(ValueError, match="the prior reads image tokens out of 8, the store and the tokenizer have 16"):
        finetune(untrained(), tmp_path, store=store_of(int, codebook_size=16))
    larger = store_of(int, grid_size=3, image_tokens=np.zeros((80, 1, 9), np.uint16))
    with pytest.raises(ValueError, match="the prior reads cells a side 2, the store and the tokenizer have 3"):
        finetune(untrained(), tmp_path, store=larger)
    other = LetterTokenizer()
    other.vocab_size = 30
    with pytest.raises(ValueError, match="the prior reads text tokens out of 26, the store and the tokenizer have 30"):
        finetune(untrained(), tmp_path, tokenizer=other)


def test_configs_that_tune_nothing():
    with pytest.raises(ValueError, match="valid_fraction must be between 0 and 1, got 0"):
        FinetunePriorConfig(domains=("cub",), valid_fraction=0, optim=OPTIM)
    with pytest.raises(ValueError, match="domains must differ"):
        FinetunePriorConfig(domains=("cub", "cub"), valid_fraction=0.1, optim=OPTIM)


@pytest.mark.parametrize(("preset", "domains"), [("smoke", ("cub",)), ("mini", ("cub",)), ("coco", ()), ("cub", ()), ("paper", ())])
def test_presets_tune_on_the_birds_where_those_are_not_what_all_was_trained_on(preset, domains):
    config = build_params(parse_yaml(preset_text(preset, [], ROOT / "presets"), preset)).finetune_prior
    assert config.domains == domains
    assert config.optim.updates == config.optim.learning_rate.updates > 0


def test_a_domain_that_is_not_read_cannot_be_tuned_on():
    with pytest.raises(ValueError, match=r"finetune_prior.domains: cub is not among domains \['coco'\]: take it out"):
        build_params(parse_yaml(preset_text("smoke", ["domains=[coco]"], ROOT / "presets"), "smoke"))
