"""Encoder and decoder of the dVAE, as in the released networks (PAPER A.1), with every size a parameter."""

import math
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dalle.dvae.likelihood import map_pixels, unmap_pixels
from dalle.training.model_folder import load_model


@dataclass(frozen=True, kw_only=True)
class DVAEConfig:
    """Sizes of the two networks; the paper's are 256, 8192, 4, 2, 256, 128 and a post-gain of 1/64."""

    image_size: int
    codebook_size: int
    num_groups: int
    blocks_per_group: int
    hidden_width: int
    codebook_width: int
    post_gain: float

    def __post_init__(self) -> None:
        for name in ("image_size", "blocks_per_group", "hidden_width", "codebook_width"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")
        for name in ("codebook_size", "num_groups"):
            if getattr(self, name) < 2:
                raise ValueError(f"{name} must be at least 2, got {getattr(self, name)}")
        if self.hidden_width % 4:
            raise ValueError(f"hidden_width must be divisible by 4 (blocks are narrower inside), got {self.hidden_width}")
        if self.image_size % self.downsampling:
            raise ValueError(
                f"image_size {self.image_size} is not divisible by {self.downsampling}, "
                f"the downsampling of {self.num_groups} groups"
            )

    @property
    def downsampling(self) -> int:
        """Pixels a side that one code stands for: every group but the last halves the resolution."""
        return 2 ** (self.num_groups - 1)

    @property
    def grid_size(self) -> int:
        return self.image_size // self.downsampling

    @property
    def widths(self) -> list[int]:
        """Channels of each group of the encoder, from the pixels to the codes."""
        return [self.hidden_width * 2**group for group in range(self.num_groups)]


class DVAE(nn.Module):
    """q(codes | images) and p(images | codes): independent categoricals on a grid, and a logit-Laplace a subpixel."""

    def __init__(self, config: DVAEConfig) -> None:
        super().__init__()
        self.config = config
        self.encoder = _encoder(config)
        self.decoder = _decoder(config)
        self.to(memory_format=torch.channels_last)

    def code_logits(self, images: Tensor) -> Tensor:
        """`images` (B, 3, H, W) in [0, 1] -> unnormalised log-probabilities of the codes (B, K, G, G), never in 16 bits.

        As in the released encoder the last convolution stays in float32: rounded to bf16, neighbouring codes tie.
        """
        self._check_images(images)
        return _pointwise(self.encoder[-1], self.encoder[:-1](map_pixels(images).contiguous(memory_format=torch.channels_last)))

    def likelihood_maps(self, soft_codes: Tensor) -> Tensor:
        """`soft_codes` (B, K, G, G) summing to 1 over K -> location and log-scale maps (B, 6, H, W)."""
        return self.decoder[1:](_pointwise(self.decoder[0], soft_codes))

    def likelihood_maps_of_codes(self, codes: Tensor) -> Tensor:
        """As `likelihood_maps` on one-hot codes (B, G, G), by looking the codebook up instead of multiplying it."""
        first = self.decoder[0]
        embedded = F.embedding(codes, first.weight.flatten(1).t()).permute(0, 3, 1, 2) + first.bias[None, :, None, None]
        return self.decoder[1:](embedded.contiguous(memory_format=torch.channels_last))

    def encode(self, images: Tensor) -> Tensor:
        """`images` (B, 3, H, W) in [0, 1] -> the most probable `codes` (B, G, G), int64."""
        return self.code_logits(images).argmax(1)

    def decode(self, codes: Tensor) -> Tensor:
        """`codes` (B, G, G) -> images (B, 3, H, W) in [0, 1]: the location map alone, the scale is ignored (PAPER A.3)."""
        return unmap_pixels(torch.sigmoid(self.likelihood_maps_of_codes(codes)[:, :3].float()))

    def _check_images(self, images: Tensor) -> None:
        expected = (3, self.config.image_size, self.config.image_size)
        if images.ndim != 4 or tuple(images.shape[1:]) != expected:
            raise ValueError(f"this dVAE takes images of shape (B, {', '.join(map(str, expected))}), got {tuple(images.shape)}")


class EncoderBlock(nn.Module):
    """identity + post_gain * (relu, 3x3, relu, 3x3, relu, 3x3, relu, 1x1); the decoder's block is its mirror image."""

    kernels = (3, 3, 3, 1)

    def __init__(self, in_width: int, out_width: int, post_gain: float) -> None:
        super().__init__()
        hidden = out_width // 4
        widths = [in_width, hidden, hidden, hidden, out_width]
        layers: list[nn.Module] = []
        for kernel, (a, b) in zip(self.kernels, zip(widths[:-1], widths[1:], strict=True), strict=True):
            layers += [nn.ReLU(), _conv(a, b, kernel)]
        self.residual = nn.Sequential(*layers)
        self.identity = nn.Identity() if in_width == out_width else _conv(in_width, out_width, 1)
        self.post_gain = post_gain

    def forward(self, x: Tensor) -> Tensor:
        return torch.add(self.identity(x), self.residual(x), alpha=self.post_gain)


class DecoderBlock(EncoderBlock):
    kernels = (1, 3, 3, 3)


def load_dvae(folder: Path) -> DVAE:
    """The dVAE saved in `folder`, in evaluation mode on the CPU."""
    return load_model(DVAE, DVAEConfig, folder)


def _encoder(config: DVAEConfig) -> nn.Sequential:
    layers: list[nn.Module] = [_conv(3, config.hidden_width, 7)]
    width = config.hidden_width
    for group, out_width in enumerate(config.widths):
        for _ in range(config.blocks_per_group):
            layers.append(EncoderBlock(width, out_width, config.post_gain))
            width = out_width
        if group < config.num_groups - 1:
            layers.append(nn.MaxPool2d(2))  # the paper found a better ELB than with average pooling
    return nn.Sequential(*layers, nn.ReLU(), _conv(width, config.codebook_size, 1))


def _decoder(config: DVAEConfig) -> nn.Sequential:
    layers: list[nn.Module] = [_conv(config.codebook_size, config.codebook_width, 1)]
    width = config.codebook_width
    for group, out_width in enumerate(reversed(config.widths)):
        for _ in range(config.blocks_per_group):
            layers.append(DecoderBlock(width, out_width, config.post_gain))
            width = out_width
        if group < config.num_groups - 1:
            layers.append(nn.Upsample(scale_factor=2, mode="nearest"))
    return nn.Sequential(*layers, nn.ReLU(), _conv(width, 6, 1))


def _pointwise(conv: nn.Conv2d, x: Tensor) -> Tensor:
    """A 1x1 convolution between the codes and a network, in the parameters' precision whatever the autocast.

    As a product with the K numbers of a cell side by side in memory, which is also how every softmax over K wants them.
    """
    with torch.autocast(x.device.type, enabled=False):
        cells = x.movedim(1, -1).to(conv.weight.dtype)
        return F.linear(cells, conv.weight.flatten(1), conv.bias).movedim(-1, 1)


def _conv(in_width: int, out_width: int, kernel: int) -> nn.Conv2d:
    conv = nn.Conv2d(in_width, out_width, kernel, padding=kernel // 2)
    nn.init.normal_(conv.weight, std=1 / math.sqrt(in_width * kernel**2))
    nn.init.zeros_(conv.bias)
    return conv
