"""The contrastive model: open_clip's two transformers, built from a readable config and fed with the project's own tokens."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import open_clip
import torch
from torch import Tensor
from torch.nn.functional import interpolate, normalize

from dalle.data.bpe import CaptionTokenizer
from dalle.training.model_folder import load_model

PADDING = 0


@dataclass(frozen=True, kw_only=True)
class TowerSizes:
    """The two transformers: image patches with a class token, and causal text read at its end token."""

    embed_dim: int
    patch_size: int
    vision_width: int
    vision_layers: int
    vision_heads: int
    text_length: int
    text_width: int
    text_layers: int
    text_heads: int

    def __post_init__(self) -> None:
        for tower in ("vision", "text"):
            width, heads = getattr(self, f"{tower}_width"), getattr(self, f"{tower}_heads")
            if heads < 1 or width % heads:
                raise ValueError(f"{tower}_width ({width}) must be a multiple of {tower}_heads ({heads})")
        if self.text_length < 2:
            raise ValueError(f"text_length must be at least 2 (a token and the end), got {self.text_length}")


@dataclass(frozen=True, kw_only=True)
class ClipConfig:
    """Everything that rebuilds the model; `text_vocab_size` is the tokenizer's, without padding and end."""

    image_size: int
    text_vocab_size: int
    towers: TowerSizes

    def __post_init__(self) -> None:
        if self.image_size % self.towers.patch_size:
            raise ValueError(f"image_size ({self.image_size}) must be a multiple of patch_size ({self.towers.patch_size})")


def build_clip(config: ClipConfig) -> open_clip.CLIP:
    """A model with random weights from torch's global generator; it remembers its `config`."""
    towers = config.towers
    clip = open_clip.CLIP(
        embed_dim=towers.embed_dim,
        vision_cfg={
            "image_size": config.image_size,
            "patch_size": towers.patch_size,
            "width": towers.vision_width,
            "layers": towers.vision_layers,
            "head_width": towers.vision_width // towers.vision_heads,
        },
        text_cfg={
            "context_length": towers.text_length,
            "vocab_size": config.text_vocab_size + 2,
            "width": towers.text_width,
            "layers": towers.text_layers,
            "heads": towers.text_heads,
        },
    )
    clip.config = config
    return clip


def load_clip(folder: Path) -> open_clip.CLIP:
    return load_model(build_clip, ClipConfig, folder)


def clip_text_tokens(tokenizer: CaptionTokenizer, captions: Sequence[str], text_length: int) -> Tensor:
    """Text tokens (B, text_length) int64: ids + 1, then the end, then padding 0; a long caption is cut and keeps its end.

    open_clip reads the sentence where the id is largest, so the end is vocab_size + 1.
    """
    text_tokens = torch.full((len(captions), text_length), PADDING)
    for row, caption in zip(text_tokens, captions, strict=True):
        ids = [token + 1 for token in tokenizer.encode(caption)[: text_length - 1]] + [tokenizer.vocab_size + 1]
        row[: len(ids)] = torch.tensor(ids)
    return text_tokens


def encode_images(clip: open_clip.CLIP, images: Tensor) -> Tensor:
    """Unit vectors (B, embed_dim) float32 of images (B, 3, H, W) in [0, 1], which are resized where the model needs another size."""
    size = clip.config.image_size
    if images.shape[2:] != (size, size):
        images = interpolate(images, (size, size), mode="bicubic", antialias=True).clamp(0, 1)
    return normalize(clip.encode_image(images * 2 - 1).float(), dim=-1)


def encode_text(clip: open_clip.CLIP, text_tokens: Tensor) -> Tensor:
    """Unit vectors (B, embed_dim) float32 of text tokens (B, text_length)."""
    return normalize(clip.encode_text(text_tokens).float(), dim=-1)


def images_to_tensor(images: np.ndarray) -> Tensor:
    """uint8 (B, H, W, 3) -> float32 (B, 3, H, W) in [0, 1]."""
    return torch.from_numpy(np.ascontiguousarray(images)).permute(0, 3, 1, 2).float() / 255
