"""What a run of params.yaml holds in memory and leaves on the disk: estimates, from the sizes of models and data alone."""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import nn

from dalle.clip.model import ClipConfig, TowerSizes
from dalle.dvae.model import DVAE
from dalle.overlap.model import Detector
from dalle.prior.kinds import AnyPriorConfig, build_prior
from dalle.prior.train import prior_config
from harness.data_folders import evaluated_captions
from harness.run_config import MINIWORLD

if TYPE_CHECKING:
    from harness.params_tree import Params

FLOAT32 = 4
TOKEN = 2  # uint16
RENDERED_PICTURE = 6_000  # measured: JPEG, captions and truth of a picture of the miniature world
MANIFEST_ROW = 100  # compressed
PNG_PIXEL = 2  # photographs; drawings take less


def parameters(params: "Params") -> dict[str, int]:
    """Parameters of the models, by the stage that trains them."""
    with torch.device("meta"):
        dvae, prior = DVAE(params.train_dvae.model(params.image_size)), build_prior(_prior_config(params))
        detector = Detector(params.train_detector.network)
    size = -(-params.image_size // params.train_clip.towers.shrinks) * params.train_clip.towers.shrinks
    clip = ClipConfig(image_size=size, text_vocab_size=params.train_tokenizer.vocab_size, towers=params.train_clip.towers)
    counts = {"train_detector": _count(detector), "train_dvae": _count(dvae), "train_prior": _count(prior)}
    return {**counts, "train_clip": clip_parameters(clip)}


def training_bytes(params: "Params", counts: Mapping[str, int]) -> dict[str, int]:
    """float32 memory of each training but for activations: parameters, two moments, their average and the gradients.

    The loop keeps the gradients of all shards of a batch until it has averaged them.
    """
    shards = {stage: getattr(params, stage).optim.shards for stage in counts}
    return {stage: FLOAT32 * count * (4 + shards[stage] + 1) for stage, count in counts.items()}


def disk_bytes(params: "Params", counts: Mapping[str, int], pairs: int, root: Path) -> dict[str, int]:
    """What each stage leaves on the disk, and the largest checkpoint while it trains.

    DVC's cache keeps a second copy of every out. A checkpoint holds parameters, moments and average, and for a moment the
    one before it as well.
    """
    cells = params.train_dvae.model(params.image_size).grid_size ** 2
    outs = {
        "prepare_data": _rendered_pictures(params) * RENDERED_PICTURE + pairs * MANIFEST_ROW,
        "filter_data": pairs * MANIFEST_ROW,
        **{stage: FLOAT32 * count for stage, count in counts.items()},
        "precompute_tokens": pairs * params.precompute_tokens.views * cells * TOKEN,
    }
    for domain in params.domains:
        captions = evaluated_captions(params, domain, root)
        scores = captions * params.sample.candidates * FLOAT32
        outs[f"sample@{domain}"] = captions * params.sample.candidates * cells * TOKEN
        outs[f"rerank@{domain}"] = scores + round(captions * distinct_winners(params.rerank.sweep)) * _picture(params)
    completions = params.prepare_data.miniworld.panels if params.complete.source == MINIWORLD else 0  # a folder holds a handful
    outs["complete"] = completions * params.complete.candidates * _picture(params)
    return {**{stage: 2 * size for stage, size in outs.items()}, "checkpoint": 2 * 4 * FLOAT32 * max(counts.values())}


def distinct_winners(sweep: tuple[int, ...]) -> float:
    """How many different candidates win for one caption, where scores are as good as random.

    The best of n is new, and not the best of the m < n before, with probability 1 - m / n.
    """
    return 1 + sum(1 - fewer / more for fewer, more in zip(sweep[:-1], sweep[1:], strict=True))


def clip_parameters(config: ClipConfig) -> int:
    """Parameters of `build_clip(config)`, counted by hand: importing open_clip takes seconds."""
    towers = config.towers
    vision = _resnet(towers, config.image_size) if towers.is_resnet else _vision_transformer(towers, config.image_size)
    width = towers.text_width
    embeddings = (config.text_vocab_size + 2 + towers.text_length) * width
    text = embeddings + towers.text_layers * _transformer_layer(width) + 2 * width + width * towers.embed_dim
    return vision + text + 1  # the logit scale


def _vision_transformer(towers: TowerSizes, image_size: int) -> int:
    width, patches = towers.vision_width, (image_size // towers.patch_size) ** 2
    embeddings = (3 * towers.patch_size**2 + 1 + patches + 1) * width
    return embeddings + 4 * width + towers.vision_layers[0] * _transformer_layer(width) + width * towers.embed_dim


def _transformer_layer(width: int) -> int:
    return 12 * width**2 + 13 * width


def _resnet(towers: TowerSizes, image_size: int) -> int:
    """Convolutions without bias, a norm of two numbers a channel behind each, and attention to pool with."""
    width = towers.vision_width
    total = _convolution(3, width // 2, 3) + _convolution(width // 2, width // 2, 3) + _convolution(width // 2, width, 3)
    channels = width
    for stage, blocks in enumerate(towers.vision_layers):
        inner, outer = width * 2**stage, 4 * width * 2**stage
        total += _convolution(channels, outer, 1)  # beside the first block
        for _ in range(blocks):
            total += _convolution(channels, inner, 1) + _convolution(inner, inner, 3) + _convolution(inner, outer, 1)
            channels = outer
    cells = (image_size // 32) ** 2
    pooling = (cells + 1) * channels + 3 * (channels**2 + channels) + (channels + 1) * towers.embed_dim
    return total + pooling


def _convolution(in_width: int, out_width: int, kernel: int) -> int:
    return in_width * out_width * kernel**2 + 2 * out_width


def _prior_config(params: "Params") -> AnyPriorConfig:
    """The prior with the largest vocabulary that the tokenizer may get."""
    # of a token store it asks codebook and grid, which the dVAE that will write it knows already
    return prior_config(params.train_prior, params.train_tokenizer.vocab_size, params.train_dvae.model(params.image_size))


def _rendered_pictures(params: "Params") -> int:
    config = params.prepare_data
    world = config.miniworld
    pictures = {
        "web": world.web_pairs,
        "coco": world.coco_train_images + world.coco_val_images,
        "cub": world.cub_species * world.cub_images_per_species,
    }
    rendered = sum(pictures[corpus] for corpus in ("web", *params.domains) if getattr(config, corpus) == MINIWORLD)
    return rendered + (world.panels if params.complete.source == MINIWORLD else 0)


def _picture(params: "Params") -> int:
    return params.image_size**2 * PNG_PIXEL


def _count(model: nn.Module) -> int:
    return sum(math.prod(value.shape) for value in model.parameters())
