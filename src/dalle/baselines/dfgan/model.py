"""DF-GAN's generator and discriminator: residual blocks without normalisation, the sentence in every block of the generator."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d, interpolate, leaky_relu, relu

SLOPE = 0.2  # of every leaky ReLU
MOST_WIDTHS = 8  # channels are `width` at full resolution and double with every halving up to this many widths


@dataclass(frozen=True, kw_only=True)
class DFGANConfig:
    """Everything that rebuilds generator and discriminator.

    `width` is 32 in the original, `noise_size` 100, `sentence_size` 256 (of its DAMSM encoder). Pictures of 64 and 256 pixels
    begin as 4 x 4, as in the original; of other sizes as what halving leaves that is nearest to it, at least 3 x 3.
    """

    image_size: int
    width: int
    noise_size: int
    sentence_size: int

    def __post_init__(self) -> None:
        for name in ("width", "noise_size", "sentence_size"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")
        if self.image_size % 2 or not 3 <= self.first_side <= 7:
            rule = "must be 3, 4, 5, 6 or 7 times a power of two, which the blocks double up to"
            raise ValueError(f"image_size {rule}, got {self.image_size}")

    @property
    def num_blocks(self) -> int:
        """Doublings of the generator, halvings of the discriminator."""
        halvings, side = 0, self.image_size
        while side % 2 == 0 and side // 2 >= 3:
            halvings, side = halvings + 1, side // 2
        return halvings

    @property
    def first_side(self) -> int:
        return self.image_size >> self.num_blocks

    @property
    def channels(self) -> list[int]:
        """From full resolution down: one number more than there are blocks."""
        return [self.width * min(2**level, MOST_WIDTHS) for level in range(self.num_blocks + 1)]


class Generator(nn.Module):
    """Noise (B, noise_size) and sentences (B, sentence_size) -> images (B, 3, H, W) in [-1, 1].

    It carries the mean and the spread of the sentences it was trained on, by which every sentence is standardised first:
    encoders differ in scale, and what all sentences share would drown what tells them apart. (Ours.)
    """

    def __init__(self, config: DFGANConfig) -> None:
        super().__init__()
        self.config = config
        channels, condition = config.channels[::-1], config.noise_size + config.sentence_size
        self.first = nn.Linear(config.noise_size, channels[0] * config.first_side**2)
        self.blocks = nn.ModuleList(UpBlock(*pair, condition) for pair in zip(channels, channels[1:], strict=False))
        self.last = nn.Conv2d(channels[-1], 3, 3, padding=1)
        self.register_buffer("sentence_mean", torch.zeros(config.sentence_size))
        self.register_buffer("sentence_spread", torch.ones(config.sentence_size))

    def forward(self, noise: Tensor, sentences: Tensor) -> Tensor:
        condition = torch.cat([noise, self.standardised(sentences)], dim=1)
        side = self.config.first_side
        hidden = self.first(noise).unflatten(1, (-1, side, side)).contiguous(memory_format=torch.channels_last)
        for block in self.blocks:
            hidden = block(hidden, condition)
        return self.last(leaky_relu(hidden, SLOPE)).tanh()

    def standardised(self, sentences: Tensor) -> Tensor:
        return (sentences - self.sentence_mean) / self.sentence_spread


class UpBlock(nn.Module):
    """Twice the side; two convolutions behind fusions with the condition, beside a shortcut (1 x 1 where channels change)."""

    def __init__(self, channels: int, out_channels: int, condition_size: int) -> None:
        super().__init__()
        self.fusions = nn.ModuleList([Fusion(channels, condition_size), Fusion(out_channels, condition_size)])
        self.convs = nn.ModuleList(
            [nn.Conv2d(channels, out_channels, 3, padding=1), nn.Conv2d(out_channels, out_channels, 3, padding=1)]
        )
        self.shortcut = nn.Identity() if channels == out_channels else nn.Conv2d(channels, out_channels, 1)

    def forward(self, hidden: Tensor, condition: Tensor) -> Tensor:
        hidden = interpolate(hidden, scale_factor=2, mode="nearest")
        residual = hidden
        for fuse, conv in zip(self.fusions, self.convs, strict=True):
            residual = conv(fuse(residual, condition))
        return self.shortcut(hidden) + residual


class Fusion(nn.Module):
    """DF-GAN's deep fusion: gamma(condition) * hidden + beta(condition) channel by channel, a leaky ReLU, and both once more.

    Each of the two gammas and betas is a linear layer, a ReLU and another linear layer of the condition; at first gamma is 1
    and beta 0. The four are computed together: one by one they were half of all that a generator of few channels has to call.
    """

    def __init__(self, channels: int, condition_size: int) -> None:
        super().__init__()
        self.enter = nn.Linear(condition_size, 4 * channels)
        self.weight = nn.Parameter(torch.zeros(4, channels, channels))
        self.bias = nn.Parameter(torch.tensor([1.0, 0.0, 1.0, 0.0])[:, None, None].repeat(1, 1, channels))

    def forward(self, hidden: Tensor, condition: Tensor) -> Tensor:
        inner = relu(self.enter(condition)).unflatten(1, (4, -1)).transpose(0, 1)  # (4, B, channels)
        gamma, beta, second_gamma, second_beta = torch.baddbmm(self.bias, inner, self.weight)[..., None, None]
        hidden = leaky_relu(torch.addcmul(beta, gamma, hidden), SLOPE)
        return leaky_relu(torch.addcmul(second_beta, second_gamma, hidden), SLOPE)


class Discriminator(nn.Module):
    """Images (B, 3, H, W) in [-1, 1] -> features; features and sentences -> one score (B,): DF-GAN's one-way output.

    The two are called apart, since one picture's features are judged under its own and under another's sentence.
    """

    def __init__(self, config: DFGANConfig) -> None:
        super().__init__()
        channels = config.channels
        self.first = nn.Conv2d(3, channels[0], 3, padding=1)
        self.blocks = nn.ModuleList(DownBlock(*pair) for pair in zip(channels, channels[1:], strict=False))
        self.judge = Judge(channels[-1], config.sentence_size, 2 * config.width, config.first_side)

    def features(self, images: Tensor) -> Tensor:
        """(B, 8 width, first_side, first_side)."""
        hidden = self.first(images.contiguous(memory_format=torch.channels_last))
        for block in self.blocks:
            hidden = block(hidden)
        return hidden

    def forward(self, images: Tensor, sentences: Tensor) -> Tensor:
        return self.judge(self.features(images), sentences)


class DownBlock(nn.Module):
    """Half the side: a strided and a plain convolution, added in as much as the learnt `gain`, at first 0, lets in."""

    def __init__(self, channels: int, out_channels: int) -> None:
        super().__init__()
        self.convs = nn.ModuleList(
            [
                nn.Conv2d(channels, out_channels, 4, stride=2, padding=1, bias=False),
                nn.Conv2d(out_channels, out_channels, 3, padding=1, bias=False),
            ]
        )
        self.shortcut = nn.Conv2d(channels, out_channels, 1)
        self.gain = nn.Parameter(torch.zeros(1))

    def forward(self, hidden: Tensor) -> Tensor:
        residual = hidden
        for conv in self.convs:
            residual = leaky_relu(conv(residual), SLOPE)
        return avg_pool2d(self.shortcut(hidden), 2) + self.gain * residual


class Judge(nn.Module):
    """Features (B, C, S, S) beside the sentence at every position -> a score (B,)."""

    def __init__(self, channels: int, sentence_size: int, hidden_channels: int, side: int) -> None:
        super().__init__()
        self.mix = nn.Conv2d(channels + sentence_size, hidden_channels, 3, padding=1, bias=False)
        self.score = nn.Conv2d(hidden_channels, 1, side, bias=False)

    def forward(self, features: Tensor, sentences: Tensor) -> Tensor:
        tiled = sentences[:, :, None, None].expand(-1, -1, *features.shape[2:])
        return self.score(leaky_relu(self.mix(torch.cat([features, tiled], dim=1)), SLOPE)).flatten()
