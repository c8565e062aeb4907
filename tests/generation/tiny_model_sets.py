"""All models of a pipeline, with random weights and of the smallest sizes: 16 px a side, 4 x 4 codes out of 12."""

from pathlib import Path

import torch

from dalle.clip.model import ClipConfig, TowerSizes, build_clip
from dalle.data.bpe import CaptionTokenizer, train_tokenizer
from dalle.dvae.model import DVAE, DVAEConfig
from dalle.prior.masks import layer_masks
from dalle.prior.model import Prior, PriorConfig, initialise
from dalle.training.model_folder import save_model

TEXT_LENGTH, CLIP_LENGTH, GRID, CODEBOOK = 20, 24, 4, 12


def tiny_tokenizer(vocab_size: int = 260) -> CaptionTokenizer:
    return train_tokenizer(["a red circle above a blue square", "a red star", "a blue star", "a red square"], vocab_size)


def save_tokenizer(folder: Path, vocab_size: int = 260) -> None:
    tiny_tokenizer(vocab_size).save(folder / "tokenizer")


def save_prior(folder: Path, **changes) -> None:
    """Weights ten times as large as at the start of a training, so that every token drawn changes the next ones."""
    sizes = {"text_vocab_size": tiny_tokenizer().vocab_size, "text_length": TEXT_LENGTH, "codebook_size": CODEBOOK}
    shape = {"grid_size": GRID, "layers": 5, "width": 16, "heads": 2, "conv_kernel": 3, "masks": tuple(layer_masks(5))}
    prior = Prior(PriorConfig(**{**sizes, **shape, **changes}))
    initialise(prior, torch.Generator().manual_seed(0))
    with torch.no_grad():
        for parameter in prior.parameters():
            if parameter.ndim > 1:
                parameter *= 10
    save_model(prior, prior.config, folder / "prior")


def save_dvae(folder: Path, **changes) -> None:
    sizes = {"image_size": 16, "codebook_size": CODEBOOK, "num_groups": 3, "blocks_per_group": 1}
    widths = {"hidden_width": 8, "codebook_width": 6, "post_gain": 1.0}
    with torch.random.fork_rng():
        torch.manual_seed(0)
        dvae = DVAE(DVAEConfig(**{**sizes, **widths, **changes}))
    save_model(dvae, dvae.config, folder / "dvae")


def save_clip(folder: Path, **changes) -> None:
    vision = {"embed_dim": 16, "patch_size": 16, "vision_width": 32, "vision_layers": (1,), "vision_heads": 2}
    text = {"text_length": CLIP_LENGTH, "text_width": 32, "text_layers": 1, "text_heads": 2}
    config = {"image_size": 32, "text_vocab_size": tiny_tokenizer().vocab_size, "towers": TowerSizes(**vision, **text)}
    with torch.random.fork_rng():
        torch.manual_seed(0)
        clip = build_clip(ClipConfig(**{**config, **changes}))
    save_model(clip, clip.config, folder / "clip")


def save_all(folder: Path) -> Path:
    for save in (save_tokenizer, save_prior, save_dvae, save_clip):
        save(folder)
    return folder
