"""The PixelCNN arm: a gated PixelCNN over the grid of codes that is told the caption, in the transformer's place.

From van den Oord et al. 2016 (Conditional Image Generation with PixelCNN Decoders): the two stacks of causal convolutions
without a blind spot, their tanh * sigmoid gates, the residual on the horizontal stack, and the condition as a bias of every
gate, the same at every position. From the VQ-VAE (van den Oord et al. 2017): to put it over codes, as the prior; there the
condition is a class. Ours: the condition is a caption, read by the text part of the transformer that this is compared with,
so that both have the same two-part loss; and there is a single width, and no skip connections to the output.
"""

from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dalle.prior.attention import Block
from dalle.prior.gated import GatedLayer, GridCache
from dalle.prior.model import check_blocks, check_sizes, check_tokens, initialise_linear, logits_in_float32, shifted_right


@dataclass(frozen=True, kw_only=True)
class PixelCNNSizes:
    """Used by kind `pixelcnn` alone: gated layers, channels of either stack, and the side of the kernel that is masked."""

    layers: int
    width: int
    kernel: int

    def __post_init__(self) -> None:
        check_sizes(self, "layers", "width")
        if self.kernel < 3 or self.kernel % 2 == 0:
            raise ValueError(f"kernel must be odd and at least 3 (of 1 the mask leaves nothing), got {self.kernel}")


@dataclass(frozen=True, kw_only=True)
class PixelCNNConfig:
    """All that is needed to rebuild one; `layers`, `width` and `heads` are those of the blocks that read the caption."""

    kind: Literal["pixelcnn"] = "pixelcnn"
    text_vocab_size: int
    text_length: int
    codebook_size: int
    grid_size: int
    layers: int
    width: int
    heads: int
    pixelcnn: PixelCNNSizes

    def __post_init__(self) -> None:
        check_sizes(self, "text_vocab_size", "codebook_size", "grid_size")
        check_blocks(self)

    @property
    def num_text_ids(self) -> int:
        """The tokenizer's vocabulary and one padding id a text position: position i without a token holds V + i."""
        return self.text_vocab_size + self.text_length

    @property
    def num_positions(self) -> int:
        """Image tokens in an image."""
        return self.grid_size**2


@dataclass
class PixelCNNCache:
    """Grids of captions times candidates as far as they are filled: row c * candidates + n is candidate n of caption c.

    `row` (B, G, W) holds the embedded tokens of the row that is being filled and, right of them, of the one above.
    """

    layers: list[GridCache]
    row: Tensor

    def for_candidates(self, num_candidates: int) -> "PixelCNNCache":
        """Empty grids for `num_candidates` images a caption; to be called on what `prefill` gave."""
        layers = [layer.for_candidates(num_candidates) for layer in self.layers]
        return PixelCNNCache(layers, self.row.new_zeros(len(layers[0].biases), *self.row.shape[1:]))


class PixelCNN(nn.Module):
    """p(text tokens) by causal attention over T slots, p(image tokens | text) by gated convolutions over the G x G grid.

    As in the transformer text slot 0 holds a learned start-of-text and token T - 1 is predicted but never read: an image is
    conditioned on the first T - 1 tokens of its caption, by what the last text slot has made of them.
    """

    def __init__(self, config: PixelCNNConfig) -> None:
        super().__init__()
        self.config = config
        width, sizes = config.width, config.pixelcnn
        self.text_embedding = nn.Embedding(config.num_text_ids, width)
        self.text_positions = nn.Embedding(config.text_length, width)
        self.start_of_text = nn.Parameter(torch.zeros(width))
        self.blocks = nn.ModuleList(Block(width, config.heads) for _ in range(config.layers))
        self.final_norm = nn.LayerNorm(width)
        self.text_head = nn.Linear(width, config.num_text_ids)
        self.image_embedding = nn.Embedding(config.codebook_size, sizes.width)
        self.layers = nn.ModuleList(
            GatedLayer(sizes.width, width, sizes.kernel, is_first=layer == 0) for layer in range(sizes.layers)
        )
        self.before_head = nn.Linear(sizes.width, sizes.width)
        self.image_head = nn.Linear(sizes.width, config.codebook_size)
        self.to(memory_format=torch.channels_last)

    def forward(self, text_tokens: Tensor, image_tokens: Tensor) -> tuple[Tensor, Tensor]:
        """(B, T) and (B, G*G) int64 -> float32 text logits (B, T, V+T) and image logits (B, G*G, K).

        Position j of either holds the logits of token j of its kind given all tokens before it.
        """
        text_hidden, image_hidden = self.hidden(text_tokens, image_tokens)
        return self.text_logits(text_hidden), self.image_logits(image_hidden)

    def hidden(self, text_tokens: Tensor, image_tokens: Tensor) -> tuple[Tensor, Tensor]:
        """What the two heads read, (B, T, D) and (B, G*G, W)."""
        check_tokens("image", image_tokens, self.config.num_positions, self.config.codebook_size)
        text_hidden = self._read_text(text_tokens)
        vertical = horizontal = self.image_embedding(image_tokens).unflatten(1, (self.config.grid_size, -1))
        for layer in self.layers:
            vertical, horizontal = layer(vertical, horizontal, text_hidden[:, -1])
        return text_hidden, self._read_out(horizontal.flatten(1, 2))

    def text_logits(self, hidden: Tensor) -> Tensor:
        """(..., D) -> float32 (..., V+T)."""
        return logits_in_float32(self.text_head, hidden)

    def image_logits(self, hidden: Tensor) -> Tensor:
        """(..., W) -> float32 (..., K)."""
        return logits_in_float32(self.image_head, hidden)

    def prefill(self, text_tokens: Tensor) -> PixelCNNCache:
        """Read the captions (C, T) once; `for_candidates(n)` of what comes back starts n images a caption."""
        caption = self._read_text(text_tokens)[:, -1]
        layers = [layer.cache(caption, self.config.grid_size) for layer in self.layers]
        return PixelCNNCache(layers, row=layers[0].above.new_zeros(len(caption), *layers[0].above.shape[2:]))

    def step(self, previous: Tensor | None, position: int, cache: PixelCNNCache) -> Tensor:
        """Float32 logits (B, K) of image token `position`, given tokens (B,) at `position - 1` (None at 0).

        Positions come in order from 0. The vertical stack moves on once a row, the horizontal one with every token.
        """
        assert (previous is None) == (position == 0), "only the first image token follows no other"
        column = position % self.config.grid_size
        if previous is not None:
            cache.row[:, column - 1] = self.image_embedding(previous).to(cache.row.dtype)  # -1 is the end of the row above
        if column == 0:
            row = cache.row
            for layer, kept in zip(self.layers, cache.layers, strict=True):
                row = layer.begin_row(row, kept)
        cell = cache.row[:, column - 1] if column else torch.zeros_like(cache.row[:, 0])
        for layer, kept in zip(self.layers, cache.layers, strict=True):
            cell = layer.step(cell, column, kept)
        return self.image_logits(self._read_out(cell))

    def _read_text(self, text_tokens: Tensor) -> Tensor:
        """What the text slots have made of the tokens before them, (B, T, D)."""
        check_tokens("text", text_tokens, self.config.text_length, self.config.num_text_ids)
        embedded = shifted_right(self.start_of_text, self.text_embedding(text_tokens[:, :-1])) + self.text_positions.weight
        return self.final_norm(read_causally(self.blocks, embedded))

    def _read_out(self, hidden: Tensor) -> Tensor:
        """The last layers before the logits, (..., W) -> (..., W)."""
        return F.relu(self.before_head(F.relu(hidden)))


def read_causally(blocks: nn.ModuleList, hidden: Tensor) -> Tensor:
    """The transformer's blocks over text alone, (B, T, D) -> (B, T, D): every slot sees itself and those before it."""
    for block in blocks:
        hidden = block(hidden, None)
    return hidden


@torch.no_grad()
def initialise_pixelcnn(prior: PixelCNN, generator: torch.Generator) -> None:
    """What reads text as in the transformer; embedded image tokens of unit variance, and layers that keep their size."""
    initialise_linear(prior, prior.blocks, generator)
    prior.start_of_text.normal_(0, 0.02, generator=generator)
    prior.image_embedding.weight.normal_(generator=generator)
    for layer in prior.layers:
        layer.initialise(generator)
    prior.before_head.weight.normal_(0, prior.before_head.in_features**-0.5, generator=generator)
