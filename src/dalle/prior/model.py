"""The prior: a decoder-only transformer of p(text tokens, image tokens), and its one-position-at-a-time twin for sampling."""

from dataclasses import dataclass
from typing import Any, Literal, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from dalle.prior.attention import Block
from dalle.prior.cache import Cache, LayerCache, slots_of
from dalle.prior.layout import Layout
from dalle.prior.masks import MASKS


@dataclass(frozen=True, kw_only=True)
class PriorConfig:
    """All that is needed to rebuild a prior; `masks` names the attention mask of every layer, from the first to the last."""

    kind: Literal["transformer"] = "transformer"
    text_vocab_size: int
    text_length: int
    codebook_size: int
    grid_size: int
    layers: int
    width: int
    heads: int
    conv_kernel: int
    masks: tuple[str, ...]

    def __post_init__(self) -> None:
        check_sizes(self, "text_vocab_size", "codebook_size", "grid_size")
        check_shape(self)
        if len(self.masks) != self.layers:
            raise ValueError(f"masks must name one mask a layer, got {len(self.masks)} for {self.layers} layers")
        for mask in self.masks:
            if mask not in MASKS:
                raise ValueError(f"masks: unknown attention mask {mask!r}: use one of {', '.join(MASKS)}")

    @property
    def num_text_ids(self) -> int:
        """The tokenizer's vocabulary and one padding id a text position: position i without a token holds V + i."""
        return self.text_vocab_size + self.text_length

    @property
    def num_positions(self) -> int:
        """Image tokens in an image."""
        return self.grid_size**2


class Shape(Protocol):
    """What the model's config and the training's have in common."""

    text_length: int
    layers: int
    width: int
    heads: int
    conv_kernel: int


def check_shape(config: Shape) -> None:
    """A `ValueError` naming the field that no prior can have."""
    check_blocks(config)
    if config.conv_kernel < 1 or config.conv_kernel % 2 == 0:
        raise ValueError(f"conv_kernel must be odd and at least 1, got {config.conv_kernel}")


def check_blocks(config: Any) -> None:
    """A `ValueError` naming the field that no stack of blocks over text can have."""
    check_sizes(config, "text_length", "layers", "width", "heads")
    if config.width % config.heads:
        raise ValueError(f"heads must divide width, got width {config.width} and heads {config.heads}")


def check_sizes(config: Any, *names: str) -> None:
    """A `ValueError` naming the first of these fields that is below 1."""
    for name in names:
        if getattr(config, name) < 1:
            raise ValueError(f"{name} must be at least 1, got {getattr(config, name)}")


class Prior(nn.Module):
    """Sparse transformer over T text slots and G*G image slots (PAPER 3, Fig. 10).

    Inputs are shifted right: slot 0 holds a learned start-of-text, slot T a learned start-of-image, and every slot carries the
    position of the token it predicts. So there is no extra slot, and text token T - 1 is predicted but never read: an
    image is conditioned on the first T - 1 tokens of its caption.
    """

    def __init__(self, config: PriorConfig) -> None:
        super().__init__()
        self.config = config
        self.activation_checkpointing = False  # how a training computes, not what: no part of the config
        width = config.width
        self.text_embedding = nn.Embedding(config.num_text_ids, width)
        self.text_positions = nn.Embedding(config.text_length, width)
        self.image_embedding = nn.Embedding(config.codebook_size, width)
        self.rows = nn.Embedding(config.grid_size, width)
        self.columns = nn.Embedding(config.grid_size, width)
        self.start_of_text = nn.Parameter(torch.zeros(width))
        self.start_of_image = nn.Parameter(torch.zeros(width))
        self.blocks = nn.ModuleList(Block(width, config.heads) for _ in range(config.layers))
        self.final_norm = nn.LayerNorm(width)
        self.text_head = nn.Linear(width, config.num_text_ids)
        self.image_head = nn.Linear(width, config.codebook_size)
        shape = config.text_length, config.grid_size, config.conv_kernel
        self.layouts = nn.ModuleDict({mask: Layout(mask, *shape) for mask in sorted(set(config.masks))})

    def forward(self, text_tokens: Tensor, image_tokens: Tensor) -> tuple[Tensor, Tensor]:
        """(B, T) and (B, G*G) int64 -> float32 text logits (B, T, V+T) and image logits (B, G*G, K).

        Position j of either holds the logits of token j of its kind given all tokens before it.
        """
        text_hidden, image_hidden = self.hidden(text_tokens, image_tokens)
        return self.text_logits(text_hidden), self.image_logits(image_hidden)

    def hidden(self, text_tokens: Tensor, image_tokens: Tensor) -> tuple[Tensor, Tensor]:
        """What the two heads read, (B, T, D) and (B, G*G, D): for a loss that needs the logits of some positions only."""
        check_tokens("image", image_tokens, self.config.num_positions, self.config.codebook_size)
        hidden = torch.cat([self._embed_text(text_tokens), self._embed_image(image_tokens)], 1)
        for name, block in zip(self.config.masks, self.blocks, strict=True):
            hidden = run_block(block, hidden, self.layouts[name], recompute=self.activation_checkpointing)
        text_hidden, image_hidden = self.final_norm(hidden).split([self.config.text_length, self.config.num_positions], 1)
        return text_hidden, image_hidden

    def text_logits(self, hidden: Tensor) -> Tensor:
        """(..., D) -> float32 (..., V+T)."""
        return logits_in_float32(self.text_head, hidden)

    def image_logits(self, hidden: Tensor) -> Tensor:
        """(..., D) -> float32 (..., K)."""
        return logits_in_float32(self.image_head, hidden)

    def prefill(self, text_tokens: Tensor) -> Cache:
        """Run the captions (C, T) once; `for_candidates(n)` of what comes back starts n images a caption."""
        hidden = self._embed_text(text_tokens)
        grid = self.config.grid_size, self.config.conv_kernel, hidden.device
        cache = Cache([LayerCache(slots_of(mask, *grid)) for mask in self.config.masks])
        for block, layer in zip(self.blocks, cache.layers, strict=True):
            hidden = block(hidden, None, layer)
        return cache.for_candidates(1)

    def step(self, previous: Tensor | None, position: int, cache: Cache) -> Tensor:
        """Float32 logits (B, K) of image token `position`, given tokens (B,) at `position - 1` (None at 0, the start of image).

        Positions come in order from 0: each one is stored in the cache, where later ones find it.
        """
        assert (previous is None) == (position == 0), "only the first image token follows the start of image"
        row, column = divmod(position, self.config.grid_size)
        token = self.start_of_image if previous is None else self.image_embedding(previous)
        hidden = (token + self.rows.weight[row] + self.columns.weight[column]).expand(cache.num_rows, -1)
        for block, layer in zip(self.blocks, cache.layers, strict=True):
            hidden = block.step(hidden, layer.slots.live[position], layer)
        return self.image_logits(self.final_norm(hidden))

    def _embed_text(self, text_tokens: Tensor) -> Tensor:
        """The T text inputs: start-of-text and all tokens but the last, (B, T, D)."""
        check_tokens("text", text_tokens, self.config.text_length, self.config.num_text_ids)
        return shifted_right(self.start_of_text, self.text_embedding(text_tokens[:, :-1])) + self.text_positions.weight

    def _embed_image(self, image_tokens: Tensor) -> Tensor:
        """The G*G image inputs: start-of-image and all tokens but the last, (B, G*G, D)."""
        positions = (self.rows.weight[:, None] + self.columns.weight[None]).flatten(0, 1)
        return shifted_right(self.start_of_image, self.image_embedding(image_tokens[:, :-1])) + positions


def check_tokens(kind: str, tokens: Tensor, length: int, num_ids: int) -> None:
    """A `ValueError` where `tokens` are not (B, `length`) ids below `num_ids`; `kind` is what they are called."""
    if tokens.ndim != 2 or tokens.shape[1] != length:
        raise ValueError(f"{kind} tokens have shape {tuple(tokens.shape)}, this prior reads {length} a row: (B, {length})")
    if tokens.is_meta or not tokens.numel():
        return
    low, high = (int(value) for value in torch.aminmax(tokens))
    if low < 0 or high >= num_ids:
        token = high if high >= num_ids else low
        raise ValueError(f"{kind} token {token} is outside this prior's vocabulary, 0 to {num_ids - 1}")


def run_block(block: Block, hidden: Tensor, layout: Layout, *, recompute: bool) -> Tensor:
    """`block(hidden, layout)`; with `recompute` the backward pass computes its activations again, keeping none."""
    if not recompute:
        return block(hidden, layout)
    # a block draws nothing, and the generators' states are the process's: a shard's thread must not set them back
    return checkpoint(block, hidden, layout, use_reentrant=False, preserve_rng_state=False)


def shifted_right(start: Tensor, embedded: Tensor) -> Tensor:
    """Put the vector `start` (D,) before (B, L, D)."""
    return torch.cat([start.to(embedded.dtype).expand(len(embedded), 1, -1), embedded], 1)


def logits_in_float32(head: nn.Linear, hidden: Tensor) -> Tensor:
    """Unembedding outside autocast (PAPER App. D)."""
    with torch.autocast(hidden.device.type, enabled=False):
        return F.linear(hidden.float(), head.weight.float(), head.bias.float())


@torch.no_grad()
def initialise(prior: Prior, generator: torch.Generator) -> None:
    """N(0, 0.02) weights and embeddings, zero biases; what is added to the residual stream is 1 / sqrt(2 L) of that."""
    initialise_linear(prior, prior.blocks, generator)
    for start in (prior.start_of_text, prior.start_of_image):
        start.normal_(0, 0.02, generator=generator)


@torch.no_grad()
def initialise_linear(model: nn.Module, blocks: nn.ModuleList, generator: torch.Generator) -> None:
    """All linear layers and embeddings of a model whose residual stream runs through `blocks`."""
    residual = {id(layer) for block in blocks for layer in (block.attention.out, block.mlp[2])}
    for module in model.modules():
        if isinstance(module, nn.Linear | nn.Embedding):
            scale = (2 * len(blocks)) ** -0.5 if id(module) in residual else 1.0
            module.weight.normal_(0, 0.02 * scale, generator=generator)
        if isinstance(module, nn.Linear) and module.bias is not None:
            module.bias.zero_()
