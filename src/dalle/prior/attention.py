"""Self-attention over text and image under a mask, and the pre-LN block around it; whole sequences, or a position at a time."""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dalle.prior.cache import LayerCache, LiveKeys
from dalle.prior.layout import Layout


class Attention(nn.Module):
    """Self-attention with one softmax over text and image keys together (PAPER 3.4, footnote 7)."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)

    def forward(self, hidden: Tensor, layout: Layout | None, text_cache: LayerCache | None = None) -> Tensor:
        """(B, S, D) -> (B, S, D): text and the image of `layout`, or text alone; its keys and values go to `text_cache`."""
        qkv = self.qkv(hidden).unflatten(-1, (3, self.heads, -1))
        if text_cache is not None:
            text_cache.write_text(*qkv[:, :, 1:].permute(2, 0, 3, 1, 4))
        return self.out(sparse_attention(qkv, layout))

    def step(self, hidden: Tensor, live: LiveKeys, cache: LayerCache) -> Tensor:
        """(B, D) -> (B, D) for one image position, which attends to all text and to the image keys `live`."""
        queries, keys, values = self.qkv(hidden).unflatten(-1, (3, self.heads, -1)).unbind(1)
        cache.write_image(live.slot, keys, values)
        return self.out(cached_attention(queries, live, cache).reshape(hidden.shape))


def sparse_attention(qkv: Tensor, layout: Layout | None) -> Tensor:
    """Attention of queries, keys and values (B, S, 3, N, h) -> (B, S, N * h): causal over text, then the image of `layout`.

    Without a layout all is text. Where the layout has blocks nothing as large as S * S is made, here or in the backward pass.
    """
    if layout is None:
        length = qkv.shape[1]
        return dense_attention(qkv, qkv.new_full((length, length), float("-inf")).triu_(1))
    if layout.dense:
        return dense_attention(qkv, layout.added)
    return _BlockAttention.apply(qkv, layout)


def dense_attention(qkv: Tensor, added: Tensor) -> Tensor:
    """(B, S, 3, N, h) -> (B, S, N * h) with all scores, to which `added` (S, S) is added.

    On a CPU two matrix products beat the fused kernel, whose backward pass there takes eight times as long (measured at
    B=64, N=4, S=96, h=64 in bf16: 14 ms against 85 ms forward and backward on one core).
    """
    queries, keys, values = qkv.permute(2, 0, 3, 1, 4)  # (B, N, S, h)
    added = added.to(qkv.dtype)
    if qkv.device.type != "cpu":
        attended = F.scaled_dot_product_attention(queries, keys, values, attn_mask=added)
        return attended.transpose(1, 2).flatten(2)
    batch, heads, length, size = queries.shape
    keys, values = keys.reshape(-1, length, size), values.reshape(-1, length, size)
    added = added.expand(batch * heads, length, length)
    scores = torch.baddbmm(added, queries.reshape(-1, length, size), keys.mT, alpha=size**-0.5)
    return (scores.softmax(-1) @ values).unflatten(0, (batch, heads)).transpose(1, 2).flatten(2)


class _BlockAttention(torch.autograd.Function):
    """Text queries over text keys; image queries over text keys and their window of image keys, in one softmax.

    The gradient is written out: autograd's own spends most of its time copying windows and adding up slices.
    """

    @staticmethod
    def forward(ctx: Any, qkv: Tensor, layout: Layout) -> Tensor:
        queries, keys, values = qkv.permute(2, 0, 3, 1, 4).contiguous()  # (B, N, S, h)
        queries *= queries.shape[-1] ** -0.5
        num_text = queries.shape[2] - layout.num_positions
        text, image = slice(num_text), slice(num_text, None)
        causal = queries.new_full((num_text, num_text), float("-inf")).triu_(1)
        text_weights = (queries[:, :, text] @ keys[:, :, text].mT).add_(causal).softmax(-1)
        image_weights = layout.scores(queries[:, :, image], keys).softmax(-1)
        ctx.save_for_backward(queries, keys, values, text_weights, image_weights)
        ctx.layout, ctx.text, ctx.image = layout, text, image
        attended = [text_weights @ values[:, :, text], layout.mix(image_weights, values)]
        return torch.cat(attended, 2).transpose(1, 2).flatten(2)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        queries, keys, values, text_weights, image_weights = ctx.saved_tensors
        layout, text, image = ctx.layout, ctx.text, ctx.image
        gradient = gradient.unflatten(2, (queries.shape[1], -1)).transpose(1, 2).contiguous()
        of_image_scores = _softmax_gradient(layout.dots(gradient[:, :, image], values), image_weights)
        of_text_scores = _softmax_gradient(gradient[:, :, text] @ values[:, :, text].mT, text_weights)
        of_qkv = queries.new_empty(3, *queries.shape)
        of_qkv[0, :, :, text] = of_text_scores @ keys[:, :, text]
        of_qkv[0, :, :, image] = layout.mix(of_image_scores, keys)
        of_qkv[0] *= queries.shape[-1] ** -0.5
        of_qkv[1] = layout.spread(of_image_scores, queries[:, :, image])
        of_qkv[1, :, :, text] += of_text_scores.mT @ queries[:, :, text]
        of_qkv[2] = layout.spread(image_weights, gradient[:, :, image])
        of_qkv[2, :, :, text] += text_weights.mT @ gradient[:, :, text]
        return of_qkv.permute(1, 3, 0, 2, 4), None


def _softmax_gradient(of_weights: Tensor, weights: Tensor) -> Tensor:
    return torch.ops.aten._softmax_backward_data(of_weights, weights, -1, weights.dtype)


def cached_attention(queries: Tensor, live: LiveKeys, cache: LayerCache) -> Tensor:
    """Attention of one image position, (B, N, h) queries on all text keys and the live image keys, (B, N, h).

    The candidates of a caption meet its text keys in one matrix product, so these are stored and read once a caption.
    """
    with torch.autocast(queries.device.type, enabled=False):
        queries = queries.to(cache.text_keys.dtype) * queries.shape[-1] ** -0.5
        image_keys, image_values = cache.image_keys[live.span], cache.image_values[live.span]  # (live, B, N, h)
        text_scores = _per_caption(queries, cache.text_keys.mT)
        image_scores = (queries[:, :, None] @ image_keys.permute(1, 2, 3, 0)).squeeze(2)
        if live.added is not None:
            image_scores += live.added
        weights = torch.cat([text_scores, image_scores], -1).softmax(-1)
        text_weights, image_weights = weights.split([text_scores.shape[-1], image_scores.shape[-1]], -1)
        from_image = (image_weights[:, :, None] @ image_values.permute(1, 2, 0, 3)).squeeze(2)
        return from_image + _per_caption(text_weights, cache.text_values)


def _per_caption(rows: Tensor, matrices: Tensor) -> Tensor:
    """Multiply the rows (B, N, a) of all candidates with their caption's matrix (C, N, a, b): (B, N, b)."""
    num_captions, heads, _, size = matrices.shape
    by_caption = rows.reshape(num_captions, -1, heads, rows.shape[-1]).transpose(1, 2)  # (C, N, candidates, a)
    return (by_caption @ matrices).transpose(1, 2).reshape(-1, heads, size)


class Block(nn.Module):
    """LayerNorm -> attention -> add, LayerNorm -> MLP of hidden width 4D -> add (PAPER 3.1)."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.attention_norm = nn.LayerNorm(width)
        self.attention = Attention(width, heads)
        self.mlp_norm = nn.LayerNorm(width)
        self.mlp = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width))

    def forward(self, hidden: Tensor, layout: Layout | None, text_cache: LayerCache | None = None) -> Tensor:
        """(B, S, D) -> (B, S, D); without a layout all S positions are text."""
        hidden = hidden + self.attention(self.attention_norm(hidden), layout, text_cache)
        return hidden + self.mlp(self.mlp_norm(hidden))

    def step(self, hidden: Tensor, live: LiveKeys, cache: LayerCache) -> Tensor:
        """(B, D) -> (B, D) for one image position."""
        hidden = hidden + self.attention.step(self.attention_norm(hidden), live, cache)
        return hidden + self.mlp(self.mlp_norm(hidden))
