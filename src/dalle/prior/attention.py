"""Masked self-attention and the pre-LN block around it, over whole sequences and one position at a time."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dalle.prior.cache import LayerCache, LiveKeys


class Attention(nn.Module):
    """Self-attention with one softmax over text and image keys together (PAPER 3.4, footnote 7)."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)

    def forward(self, hidden: Tensor, mask: Tensor, text_cache: LayerCache | None = None) -> Tensor:
        """(B, S, D) -> (B, S, D) under a boolean mask (S, S); keys and values are put into `text_cache` where one is given."""
        batch, length, width = hidden.shape
        qkv = self.qkv(hidden).view(batch, length, 3, self.heads, width // self.heads)
        queries, keys, values = qkv.permute(2, 0, 3, 1, 4).unbind(0)
        if text_cache is not None:
            text_cache.write_text(keys, values)
        attended = masked_attention(queries, keys, values, mask)
        return self.out(attended.transpose(1, 2).reshape(batch, length, width))

    def step(self, hidden: Tensor, position: int, live: LiveKeys, cache: LayerCache) -> Tensor:
        """(B, D) -> (B, D) for image position `position`, which attends to all text and the image positions `live`."""
        queries, keys, values = self.qkv(hidden).view(len(hidden), 3, self.heads, -1).unbind(1)
        cache.write_image(position, keys, values)
        return self.out(cached_attention(queries, live, cache).reshape(hidden.shape))


def masked_attention(queries: Tensor, keys: Tensor, values: Tensor, mask: Tensor) -> Tensor:
    """Attention of (B, N, S, D/N) queries under a boolean mask (S, S).

    On a CPU two matrix products beat the fused kernel, whose backward pass there takes eight times as long (measured at
    B=64, N=4, S=96, D/N=64 in bf16: 14 ms against 85 ms forward and backward on one core).
    """
    if queries.device.type == "cpu":
        return attention_by_products(queries, keys, values, mask)
    return F.scaled_dot_product_attention(queries, keys, values, attn_mask=mask)


def attention_by_products(queries: Tensor, keys: Tensor, values: Tensor, mask: Tensor) -> Tensor:
    """The same function as F.scaled_dot_product_attention, written out."""
    scores = queries @ keys.transpose(-1, -2)
    added = torch.zeros(mask.shape, dtype=scores.dtype, device=mask.device).masked_fill_(~mask, float("-inf"))
    # scaling and masking in one pass over the scores
    return torch.add(added, scores, alpha=queries.shape[-1] ** -0.5).softmax(-1) @ values


def cached_attention(queries: Tensor, live: LiveKeys, cache: LayerCache) -> Tensor:
    """Attention of one image position: (B, N, D/N) queries on all text keys and the live image keys, (B, N, D/N).

    The candidates of a caption meet its text keys in one matrix product, so these are stored and read once a caption.
    """
    with torch.autocast(queries.device.type, enabled=False):
        queries = queries.to(cache.text_keys.dtype) * queries.shape[-1] ** -0.5
        image_keys, image_values = cache.image_keys[live.span], cache.image_values[live.span]  # (live, B, N, D/N)
        text_scores = _per_caption(queries, cache.text_keys.transpose(-1, -2))
        image_scores = (queries[:, :, None] @ image_keys.permute(1, 2, 3, 0)).squeeze(2)
        if live.added is not None:
            image_scores += live.added
        scores = torch.cat([text_scores, image_scores], -1)
        text_weights, image_weights = scores.softmax(-1).split([text_scores.shape[-1], image_scores.shape[-1]], -1)
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

    def forward(self, hidden: Tensor, mask: Tensor, text_cache: LayerCache | None = None) -> Tensor:
        """(B, S, D) -> (B, S, D)."""
        hidden = hidden + self.attention(self.attention_norm(hidden), mask, text_cache)
        return hidden + self.mlp(self.mlp_norm(hidden))

    def step(self, hidden: Tensor, position: int, live: LiveKeys, cache: LayerCache) -> Tensor:
        """(B, D) -> (B, D) for one image position."""
        hidden = hidden + self.attention.step(self.attention_norm(hidden), position, live, cache)
        return hidden + self.mlp(self.mlp_norm(hidden))
