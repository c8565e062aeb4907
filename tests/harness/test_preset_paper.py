"""The preset `paper` beside a table written by hand from the paper: what no option exists for stands in the preset's comments."""

from pathlib import Path

import pytest
import torch

from dalle.dvae.model import DVAE
from dalle.prior.masks import layer_masks
from dalle.prior.model import Prior, PriorConfig
from harness.params import build_params, flatten, parse_yaml
from harness.presets import preset_text

PRESETS = Path(__file__).parents[2] / "presets"
PAPER = {
    # 2.1, A.1: 256 px, 32 x 32 codes out of 8192
    "image_size": 256,
    "train_dvae.codebook_size": 8192,
    "train_dvae.num_groups": 4,
    "train_dvae.blocks_per_group": 2,
    "train_dvae.hidden_width": 256,
    "train_dvae.codebook_width": 128,
    "train_dvae.post_gain": 1 / 64,
    "train_dvae.warm_start.updates": 0,
    # Listing 1
    "train_dvae.crop_scale": [9 / 8, 12 / 8],
    # A.2
    "train_dvae.beta.shape": "cosine",
    "train_dvae.beta.start": 0.0,
    "train_dvae.beta.end": 6.6,
    "train_dvae.beta.updates": 5_000,
    "train_dvae.beta.warmup_updates": 0,
    "train_dvae.tau.shape": "cosine",
    "train_dvae.tau.start": 1.0,
    "train_dvae.tau.end": 1 / 16,
    "train_dvae.tau.updates": 150_000,
    "train_dvae.tau.warmup_updates": 0,
    "train_dvae.optim.updates": 3_000_000,
    "train_dvae.optim.batch_size": 64 * 8,
    "train_dvae.optim.shards": 64,
    "train_dvae.optim.learning_rate.shape": "cosine",
    "train_dvae.optim.learning_rate.start": 1e-4,
    "train_dvae.optim.learning_rate.end": 1.25e-6,
    "train_dvae.optim.learning_rate.updates": 1_200_000,
    "train_dvae.optim.learning_rate.warmup_updates": 0,
    "train_dvae.optim.betas": [0.9, 0.999],
    "train_dvae.optim.eps": 1e-8,
    "train_dvae.optim.weight_decay": 1e-4,
    "train_dvae.optim.clip_norm": None,
    "train_dvae.optim.ema_decay": 0.999,
    "train_dvae.optim.ema_every": 1,
    # 2.2
    "train_tokenizer.vocab_size": 16_384,
    "train_prior.text_length": 256,
    "train_prior.bpe_dropout": 0.1,
    "train_prior.image_loss_weight": 7 / 8,
    # B.1
    "train_prior.kind": "transformer",
    "train_prior.layers": 64,
    "train_prior.width": 62 * 64,
    "train_prior.heads": 62,
    "train_prior.conv_kernel": 11,
    # B.2
    "train_prior.optim.updates": 430_000,
    "train_prior.optim.batch_size": 1_024,
    "train_prior.optim.learning_rate.shape": "constant",
    "train_prior.optim.learning_rate.start": 4.5e-4,
    "train_prior.optim.learning_rate.warmup_updates": 5_000,
    "train_prior.optim.plateau.halvings": 5,
    "train_prior.optim.betas": [0.9, 0.96],
    "train_prior.optim.eps": 1e-8,
    "train_prior.optim.weight_decay": 4.5e-2,
    "train_prior.optim.clip_norm": 4.0,
    "train_prior.optim.ema_decay": 0.99,
    "train_prior.optim.ema_every": 25,
    # App. C
    "filter_data.rules.aspect_ratio.min": 1 / 2,
    "filter_data.rules.aspect_ratio.max": 2.0,
    # 2.6
    "sample.candidates": 512,
    "sample.temperature": 1.0,
    "sample.top_k": None,
    "sample.top_p": None,
    # 3.1, Fig. 9
    "domains": ["coco", "cub"],
    "sample.num_captions": 30_000,
    "evaluate.blur_radii": [0, 1, 2, 4, 8],
    # App. F, Fig. 7
    "human_eval.domain": "coco",
    "human_eval.rival": "dfgan",
    "human_eval.num_pairs": 1_000,
    "human_eval.raters": 5,
    # Fig. 6
    "report.best_of": [1, 8, 64, 512],
}
VALUES = parse_yaml(preset_text("paper", [], PRESETS), "paper")


@pytest.mark.parametrize(("key", "value"), PAPER.items())
def test_the_preset_has_the_paper_s_value(key, value):
    assert flatten(VALUES)[key] == (pytest.approx(value, rel=1e-12) if isinstance(value, float) else value)


def test_the_share_held_out_is_the_paper_s():
    """About 606,000 of 250 million pictures (2.3, B.2)."""
    assert VALUES["filter_data"]["valid_fraction"] * 250e6 == pytest.approx(606_000, rel=1e-3)


def test_the_dvae_has_the_released_networks_parameters():
    with torch.device("meta"):
        dvae = DVAE(build_params(VALUES).train_dvae.model(256))
    assert dvae.config.grid_size == 32
    assert [_count(part) for part in (dvae.encoder, dvae.decoder)] == [53_786_240, 43_829_766]


def test_the_prior_has_twelve_billion_parameters():
    """Table 1 counts the matrices of the blocks, 12 d^2 a layer."""
    config = build_params(VALUES).train_prior
    with torch.device("meta"):
        prior = Prior(
            PriorConfig(
                text_vocab_size=16_384,
                text_length=config.text_length,
                codebook_size=8192,
                grid_size=32,
                layers=config.layers,
                width=config.width,
                heads=config.heads,
                conv_kernel=config.conv_kernel,
                masks=tuple(layer_masks(config.layers)),
            )
        )
    matrices = sum(value.numel() for value in prior.blocks.parameters() if value.ndim == 2)
    assert matrices == 12 * 3968**2 * 64 and matrices / 12.0e9 == pytest.approx(1, abs=0.01)
    counts = {mask: prior.config.masks.count(mask) for mask in ("row", "column", "convolution")}
    assert counts == {"row": 47, "column": 16, "convolution": 1}


def _count(module: torch.nn.Module) -> int:
    return sum(value.numel() for value in module.parameters())
