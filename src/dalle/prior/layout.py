"""How the image queries of a mask meet their keys without the matrix of all pairs: blocks of the raster (PAPER 3.4)."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dalle.prior.masks import attends, farthest_offset, sequence_mask

MIN_BLOCK = 20  # products of smaller blocks cost more than the scores that they save (tests/benchmarks/prior.py measures it)


class Layout(nn.Module):
    """One mask's image queries in blocks, each with a window of image keys that holds all they may attend to.

    A block is a row of the grid; its window is that row and the rows above that the mask reaches. For columns the grid is
    transposed, so that a block is a column and its own window (Fig. 11). Keys are text first, then image; every query has
    scores for all text and its window, so nothing grows with the square of the length.

    `added` is what scores get, 0 or minus infinity: (blocks or 1, block, window). Where `dense` is set, on a grid of less than
    `min_block` a side and for the mask "full", there are no blocks, and it is that of the whole sequence, (S, S).
    """

    def __init__(
        self, mask: str, text_length: int, grid_size: int, conv_kernel: int, *, min_block: int = MIN_BLOCK
    ) -> None:
        super().__init__()
        self.dense = mask == "full" or grid_size < min_block
        self.transposed = mask == "column"
        self.num_positions, self.block = grid_size**2, grid_size
        reach = 0 if self.transposed else farthest_offset(mask, grid_size, conv_kernel)
        self.rows_before = -(-reach // grid_size)
        if self.dense:
            allowed = sequence_mask(mask, text_length, grid_size, conv_kernel)
        else:
            positions = torch.arange(1, self.num_positions + 1)[:, None]  # from 1: windows are filled up with 0
            queries, keys = self.to_blocks(positions), self.to_windows(positions).mT
            if self.transposed:
                queries, keys = queries[:1], keys[:1]  # all columns are masked alike
            allowed = (keys > 0) & attends(mask, queries, keys, grid_size, conv_kernel)
        self.register_buffer("added", torch.zeros(allowed.shape).masked_fill_(~allowed, float("-inf")), persistent=False)

    def scores(self, queries: Tensor, keys: Tensor) -> Tensor:
        """Masked products of image queries (B, N, G*G, h) with keys (B, N, T + G*G, h): (B, N, blocks, block, T + window)."""
        scores = self.dots(queries, keys)
        scores[..., -self.added.shape[-1] :] += self.added.to(scores.dtype)
        return scores

    def dots(self, queries: Tensor, keys: Tensor) -> Tensor:
        """The same without the mask."""
        text, windows = self._split(keys)
        blocks = self.to_blocks(queries)
        return torch.cat([(blocks.flatten(2, 3) @ text.mT).unflatten(2, blocks.shape[2:4]), blocks @ windows.mT], -1)

    def mix(self, weights: Tensor, values: Tensor) -> Tensor:
        """Sums of values (B, N, T + G*G, h) by weights shaped as scores are: (B, N, G*G, h)."""
        text, windows = self._split(values)
        of_text, of_windows = weights.split([text.shape[2], windows.shape[3]], -1)
        mixed = (of_text.flatten(2, 3) @ text).unflatten(2, weights.shape[2:4])
        return self.from_blocks(mixed + of_windows @ windows)

    def spread(self, weights: Tensor, rows: Tensor) -> Tensor:
        """The transpose of `mix`: rows (B, N, G*G, h) to the keys (B, N, T + G*G, h) that have a weight for them."""
        blocks, window = self.to_blocks(rows), self.added.shape[-1]
        of_text, of_windows = weights.split([weights.shape[-1] - window, window], -1)
        to_text = of_text.flatten(2, 3).mT @ blocks.flatten(2, 3)
        return torch.cat([to_text, self.from_windows(of_windows.mT @ blocks)], 2)

    def to_blocks(self, image: Tensor) -> Tensor:
        """(..., G*G, h) in raster order -> (..., blocks, block, h)."""
        blocks = image.unflatten(-2, (-1, self.block))
        return blocks.transpose(-2, -3) if self.transposed else blocks

    def from_blocks(self, blocks: Tensor) -> Tensor:
        """The inverse of `to_blocks`."""
        return (blocks.transpose(-2, -3) if self.transposed else blocks).flatten(-3, -2)

    def to_windows(self, image: Tensor) -> Tensor:
        """(..., G*G, h) -> (..., blocks, window, h): each block after the rows before it, which are 0 above the grid."""
        if not self.rows_before:
            return self.to_blocks(image)
        before = self.rows_before * self.block
        return F.pad(image, (0, 0, before, 0)).unfold(-2, before + self.block, self.block).mT

    def from_windows(self, windows: Tensor) -> Tensor:
        """The transpose of `to_windows`: every position gets the sum over the windows that hold it."""
        if not self.rows_before:
            return self.from_blocks(windows)
        num_blocks = windows.shape[-3]
        padded = windows.new_zeros(*windows.shape[:-3], self.rows_before + num_blocks, self.block, windows.shape[-1])
        for row, part in enumerate(windows.split(self.block, -2)):
            padded[..., row : row + num_blocks, :, :] += part
        return padded[..., self.rows_before :, :, :].flatten(-3, -2)

    def _split(self, keys: Tensor) -> tuple[Tensor, Tensor]:
        """Text keys (B, N, T, h) and windows of image keys (B, N, blocks, window, h)."""
        num_text = keys.shape[2] - self.num_positions
        return keys[:, :, :num_text], self.to_windows(keys[:, :, num_text:])
