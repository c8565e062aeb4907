"""Which positions each layer attends to, as boolean matrices indexed (query, key), True where attention is allowed (PAPER 3.4).

Image positions are raster indices of the grid. A mask over the whole sequence is indexed by slots of the shifted-right
input: slot T + k is the one that predicts image token k.
"""

import torch
from torch import Tensor

MASKS = ("row", "column", "convolution", "full")


def row_mask(grid_size: int) -> Tensor:
    """Itself and the previous G raster positions, crossing row ends: the farthest key is the one straight above, (G*G, G*G)."""
    offsets = _offsets(grid_size)
    return (offsets >= 0) & (offsets <= grid_size)


def column_mask(grid_size: int) -> Tensor:
    """Itself and everything above it in the same column, (G*G, G*G)."""
    offsets = _offsets(grid_size)
    return (offsets >= 0) & (offsets % grid_size == 0)


def convolution_mask(grid_size: int, conv_kernel: int) -> Tensor:
    """The causal half of a square kernel around the position, wrapping at row ends, (G*G, G*G).

    It wraps as the row mask does, because offsets are taken on the flat raster index. Where the kernel is wider than the
    grid some offsets of the rows above would point ahead; they are dropped.
    """
    reach = (conv_kernel - 1) // 2
    in_row = range(reach + 1)
    above = (row * grid_size + column for row in range(1, reach + 1) for column in range(-reach, reach + 1))
    live = sorted({offset for offset in (*in_row, *above) if offset >= 0})
    return torch.isin(_offsets(grid_size), torch.tensor(live))


def full_mask(grid_size: int) -> Tensor:
    """Itself and every earlier position: dense causal attention, (G*G, G*G)."""
    return _offsets(grid_size) >= 0


def image_mask(mask: str, grid_size: int, conv_kernel: int) -> Tensor:
    """The mask named `mask` (one of MASKS) among image positions, (G*G, G*G)."""
    if mask == "row":
        return row_mask(grid_size)
    if mask == "column":
        return column_mask(grid_size)
    if mask == "convolution":
        return convolution_mask(grid_size, conv_kernel)
    if mask == "full":
        return full_mask(grid_size)
    raise ValueError(f"unknown attention mask {mask!r}: use one of {', '.join(MASKS)}")


def sequence_mask(mask: str, text_length: int, grid_size: int, conv_kernel: int) -> Tensor:
    """The mask of one layer over text and image together, (S, S): text is causal and never sees image, image sees all text."""
    length = text_length + grid_size**2
    whole = torch.zeros(length, length, dtype=torch.bool)
    whole[:text_length, :text_length] = torch.ones(text_length, text_length, dtype=torch.bool).tril()
    whole[text_length:, :text_length] = True
    whole[text_length:, text_length:] = image_mask(mask, grid_size, conv_kernel)
    return whole


def layer_masks(num_layers: int) -> list[str]:
    """The paper's order: layer i (from 1) is column where (i - 2) mod 4 = 0, else row; the last is a convolution."""
    if num_layers < 1:
        raise ValueError(f"a prior needs at least 1 layer, got {num_layers}")
    earlier = ["column" if (layer - 2) % 4 == 0 else "row" for layer in range(1, num_layers)]
    return [*earlier, "convolution"]


def _offsets(grid_size: int) -> Tensor:
    """How far back key lies from query on the raster, negative where it is ahead, (G*G, G*G)."""
    positions = torch.arange(grid_size**2)
    return positions[:, None] - positions[None, :]
