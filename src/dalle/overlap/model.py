"""The detector of copies: a small convolutional network that keeps where things are."""

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize, silu

from dalle.training.model_folder import load_model

GROUP_WIDTH = 8  # channels that are normalised together


@dataclass(frozen=True, kw_only=True)
class DetectorConfig:
    """`levels` times the picture is halved and the channels, `width` at first, doubled; `embed_dim` numbers come out."""

    image_size: int
    levels: int
    width: int
    grid_channels: int
    embed_dim: int

    def __post_init__(self) -> None:
        for name in ("levels", "grid_channels", "embed_dim"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")
        if self.image_size % 2**self.levels or self.image_size < 2**self.levels:
            raise ValueError(f"image_size ({self.image_size}) must be a multiple of {2**self.levels}: levels is {self.levels}")
        if self.width < 1 or self.width % GROUP_WIDTH:
            raise ValueError(f"width must be a multiple of {GROUP_WIDTH}, got {self.width}")

    @property
    def grid_size(self) -> int:
        return self.image_size // 2**self.levels


class Detector(nn.Module):
    """Images (B, 3, H, W) in [0, 1] of the config's size -> unit vectors (B, embed_dim) float32.

    A classifier would average over the picture. Here the last grid is flattened: many pictures of one world hold the same
    things in other places, and only where they are tells a copy from its like.
    """

    def __init__(self, config: DetectorConfig) -> None:
        super().__init__()
        self.config = config
        widths = [config.width * 2**level for level in range(config.levels)]
        layers = [nn.Conv2d(3, widths[0], 3, stride=2, padding=1), Block(widths[0])]
        for narrow, wide in zip(widths[:-1], widths[1:], strict=True):
            layers += [nn.Conv2d(narrow, wide, 3, stride=2, padding=1), Block(wide)]
        self.trunk = nn.Sequential(*layers)
        self.narrow = nn.Conv2d(widths[-1], config.grid_channels, 1)
        self.project = nn.Linear(config.grid_channels * config.grid_size**2, config.embed_dim)

    def forward(self, images: Tensor) -> Tensor:
        grid = self.narrow(silu(self.trunk(images * 2 - 1)))
        return normalize(self.project(grid.flatten(1)).float(), dim=-1)


class Block(nn.Module):
    """x + conv(silu(norm(conv(silu(norm(x))))))."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norms = nn.ModuleList(nn.GroupNorm(width // GROUP_WIDTH, width) for _ in range(2))
        self.convs = nn.ModuleList(nn.Conv2d(width, width, 3, padding=1) for _ in range(2))

    def forward(self, grid: Tensor) -> Tensor:
        change = grid
        for norm, conv in zip(self.norms, self.convs, strict=True):
            change = conv(silu(norm(change)))
        return grid + change


def load_detector(folder: Path) -> Detector:
    return load_model(Detector, DetectorConfig, folder)
