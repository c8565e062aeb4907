"""The contrastive model: open_clip's two transformers, built from a readable config and fed with the project's own tokens."""

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.functional import interpolate, normalize

from dalle.data.bpe import CaptionTokenizer
from dalle.training.model_folder import load_model

if TYPE_CHECKING:
    import open_clip

PADDING = 0


@dataclass(frozen=True, kw_only=True)
class TowerSizes:
    """The two networks: pictures through a vision transformer or a ResNet, captions through a causal transformer.

    As in open_clip, `vision_layers` with one number is a transformer over patches of `patch_size` pixels, with four numbers a
    ResNet of four stages (each halves the picture, which shrinks 32 times in all) and without `patch_size`.
    """

    embed_dim: int
    patch_size: int | None
    vision_width: int
    vision_layers: tuple[int, ...]
    vision_heads: int
    text_length: int
    text_width: int
    text_layers: int
    text_heads: int

    def __post_init__(self) -> None:
        if len(self.vision_layers) not in (1, 4):
            raise ValueError(f"vision_layers must be one number (transformer) or four (ResNet), got {list(self.vision_layers)}")
        if (self.patch_size is None) != self.is_resnet:
            given = f"{self.patch_size} and {len(self.vision_layers)} vision_layers"
            raise ValueError(f"patch_size goes with a transformer only (null for a ResNet), got {given}")
        widths = {"vision": (self.pooled_width, self.vision_heads), "text": (self.text_width, self.text_heads)}
        for name, (width, heads) in widths.items():
            if heads < 1 or width % heads:
                raise ValueError(f"{name}_heads ({heads}) must divide the tower's width ({width})")
        if self.text_length < 2:
            raise ValueError(f"text_length must be at least 2 (a token and the end), got {self.text_length}")

    @property
    def is_resnet(self) -> bool:
        return len(self.vision_layers) == 4

    @property
    def shrinks(self) -> int:
        """The vision tower takes pictures whose side is a multiple of this."""
        return 32 if self.is_resnet else self.patch_size

    @property
    def pooled_width(self) -> int:
        """Channels where attention works: everywhere in a transformer, after the last stage in a ResNet."""
        return 32 * self.vision_width if self.is_resnet else self.vision_width


@dataclass(frozen=True, kw_only=True)
class ClipConfig:
    """Everything that rebuilds the model; `text_vocab_size` is the tokenizer's, without padding and end."""

    image_size: int
    text_vocab_size: int
    towers: TowerSizes

    def __post_init__(self) -> None:
        if self.image_size % self.towers.shrinks:
            rule = f"must be a multiple of {self.towers.shrinks}, by which the vision tower shrinks it"
            raise ValueError(f"image_size ({self.image_size}) {rule}")


def build_clip(config: ClipConfig) -> "open_clip.CLIP":
    """A model with random weights from torch's global generator; it remembers its `config`."""
    import open_clip  # seconds of imports that only the stages with a CLIP should pay

    towers = config.towers
    clip = open_clip.CLIP(
        embed_dim=towers.embed_dim,
        vision_cfg={
            "image_size": config.image_size,
            "patch_size": towers.patch_size,
            "width": towers.vision_width,
            "layers": towers.vision_layers if towers.is_resnet else towers.vision_layers[0],
            "head_width": towers.pooled_width // towers.vision_heads,
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
    if towers.is_resnet:  # convolutions take two thirds of the time where channels lie side by side in memory
        clip.visual.to(memory_format=torch.channels_last)
    return clip


def load_clip(folder: Path) -> "open_clip.CLIP":
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


def encode_images(clip: "open_clip.CLIP", images: Tensor) -> Tensor:
    """Unit vectors (B, embed_dim) float32 of images (B, 3, H, W) in [0, 1], resized where the model needs another size."""
    size = clip.config.image_size
    if images.shape[2:] != (size, size):
        images = interpolate(images, (size, size), mode="bicubic", antialias=True).clamp(0, 1)
    mapped = images * 2 - 1
    if clip.config.towers.is_resnet:
        mapped = mapped.contiguous(memory_format=torch.channels_last)
    with fast_attention(images.device):
        return normalize(clip.encode_image(mapped).float(), dim=-1)


def encode_text(clip: "open_clip.CLIP", text_tokens: Tensor) -> Tensor:
    """Unit vectors (B, embed_dim) float32 of text tokens (B, text_length)."""
    with fast_attention(text_tokens.device):
        return normalize(clip.encode_text(text_tokens).float(), dim=-1)


def fast_attention(device: torch.device) -> AbstractContextManager:
    """On a CPU the gradient of torch's fused attention takes longer than the rest of the model: training goes without it."""
    if device.type == "cpu" and torch.is_grad_enabled():
        return sdpa_kernel(SDPBackend.MATH)
    return nullcontext()


def images_to_tensor(images: np.ndarray) -> Tensor:
    """uint8 (B, H, W, 3) -> float32 (B, 3, H, W) in [0, 1]."""
    return torch.from_numpy(np.array(images, order="C")).permute(0, 3, 1, 2).float() / 255
