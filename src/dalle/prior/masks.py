"""Which positions each layer attends to (PAPER 3.4).

Image positions are raster indices of the grid. A mask over the whole sequence is indexed by slots of the shifted-right
input: slot T + k is the one that predicts image token k. The matrices here are boolean, indexed (query, key), True where
attention is allowed; they are for small grids, figures and tests. `dalle.prior.layout` computes without them.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

MASKS = ("row", "column", "convolution", "full")


def attends(mask: str, query: Tensor, key: Tensor, grid_size: int, conv_kernel: int) -> Tensor:
    """Whether image position `query` attends to image position `key` under the mask named `mask`, elementwise, boolean.

    - row: itself and the previous G raster positions, crossing row ends: the farthest key is the one straight above;
    - column: itself and everything above it in the same column;
    - convolution: the causal half of a square kernel around the position, wrapping at row ends as the row mask does, because
      offsets are taken on the flat raster index. Where the kernel is wider than the grid some offsets of the rows above
      would point ahead; they are dropped;
    - full: itself and every earlier position, dense causal attention.
    """
    offset = query - key
    if mask == "row":
        return (offset >= 0) & (offset <= grid_size)
    if mask == "column":
        return (offset >= 0) & (offset % grid_size == 0)
    if mask == "convolution":
        return torch.isin(offset, torch.tensor(convolution_offsets(grid_size, conv_kernel), device=offset.device))
    if mask == "full":
        return offset >= 0
    raise ValueError(f"unknown attention mask {mask!r}: use one of {', '.join(MASKS)}")


def convolution_offsets(grid_size: int, conv_kernel: int) -> list[int]:
    """How far back on the raster the keys of the convolution lie, from 0 (itself) up."""
    reach = (conv_kernel - 1) // 2
    above = (row * grid_size + column for row in range(1, reach + 1) for column in range(-reach, reach + 1))
    return sorted({offset for offset in (*range(reach + 1), *above) if offset >= 0})


def farthest_offset(mask: str, grid_size: int, conv_kernel: int) -> int:
    """How far back on the raster the farthest key of any query lies."""
    last = grid_size**2 - 1
    if mask == "row":
        return min(grid_size, last)
    if mask == "convolution":
        return min(convolution_offsets(grid_size, conv_kernel)[-1], last)
    return last - last % grid_size if mask == "column" else last


def image_mask(mask: str, grid_size: int, conv_kernel: int) -> Tensor:
    """The mask named `mask` (one of MASKS) among image positions, (G*G, G*G)."""
    positions = torch.arange(grid_size**2)
    return attends(mask, positions[:, None], positions[None, :], grid_size, conv_kernel)


def sequence_mask(mask: str, text_length: int, grid_size: int, conv_kernel: int) -> Tensor:
    """The mask of one layer over text and image together, (S, S): text is causal and never sees image, image sees all text."""
    length = text_length + grid_size**2
    whole = torch.zeros(length, length, dtype=torch.bool)
    whole[:text_length, :text_length] = torch.ones(text_length, text_length, dtype=torch.bool).tril()
    whole[text_length:, :text_length] = True
    whole[text_length:, text_length:] = image_mask(mask, grid_size, conv_kernel)
    return whole


def masks_of(rule: str | Sequence[str], num_layers: int) -> tuple[str, ...]:
    """The masks of all layers from a rule: `paper`, one of MASKS for every layer, or one name a layer."""
    if rule == "paper":
        return tuple(layer_masks(num_layers))
    masks = (rule,) * num_layers if isinstance(rule, str) else tuple(rule)
    for mask in masks:
        if mask not in MASKS:
            known = ", ".join(MASKS)
            raise ValueError(f"masks: unknown attention mask {mask!r}: use paper, one of {known}, or a list of those")
    if len(masks) != num_layers:
        raise ValueError(f"masks names {len(masks)} masks, but the prior has {num_layers} layers: name one a layer")
    return masks


def layer_masks(num_layers: int) -> list[str]:
    """The paper's order: layer i (from 1) is column where (i - 2) mod 4 = 0, else row; the last is a convolution."""
    if num_layers < 1:
        raise ValueError(f"a prior needs at least 1 layer, got {num_layers}")
    earlier = ["column" if (layer - 2) % 4 == 0 else "row" for layer in range(1, num_layers)]
    return [*earlier, "convolution"]
