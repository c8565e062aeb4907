"""A layer of a gated PixelCNN (van den Oord et al. 2016, Fig. 2): causal convolutions in two stacks.

Over whole grids, and one position at a time.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

GATE_GAIN = 3.0  # numbers of unit variance come out of a gate a third as large


@dataclass
class GridCache:
    """What one layer keeps of B grids that are filled in raster order; outside of a grid there are zeros.

    `biases` (B, 4W) of the condition; `above` (B, rows, G, W) the last rows that came into the vertical stack; `left`
    (B, cells, W) the last cells of this row that came into the horizontal one; `passed_down` (B, G, 2W) what the vertical
    stack and the condition add to this row of the horizontal one.
    """

    biases: Tensor
    above: Tensor
    left: Tensor
    passed_down: Tensor

    def for_candidates(self, num_candidates: int) -> "GridCache":
        """The same conditions, each for `num_candidates` empty grids."""
        biases = self.biases.repeat_interleave(num_candidates, 0)

        def empty(part: Tensor) -> Tensor:
            return part.new_zeros(len(biases), *part.shape[1:])

        return GridCache(biases, empty(self.above), empty(self.left), empty(self.passed_down))


class GatedLayer(nn.Module):
    """Two stacks of W channels: the vertical one sees the rows above, the horizontal one those and the cells to the left.

    The masks are the shapes of the kernels. In the first layer a cell does not see itself (mask A): the vertical kernel ends
    in the row above, the horizontal one a cell before. From then on (mask B) both end at the cell, whose features know
    nothing of its own token. Channels come last, so that a 1x1 convolution is a linear layer.
    """

    def __init__(self, width: int, condition_width: int, kernel: int, *, is_first: bool) -> None:
        super().__init__()
        self.is_first, self.reach = is_first, kernel // 2
        depth = self.reach if is_first else self.reach + 1
        self.above = nn.Conv2d(width, 2 * width, (depth, kernel), bias=False)
        self.left = nn.Conv2d(width, 2 * width, (1, depth), bias=False)
        self.down = nn.Linear(2 * width, 2 * width, bias=False)
        self.out = nn.Linear(width, width)
        self.condition = nn.Linear(condition_width, 4 * width)  # and all of the gates' biases

    def forward(self, vertical: Tensor, horizontal: Tensor, condition: Tensor) -> tuple[Tensor, Tensor]:
        """Both stacks (B, G, G, W) and the condition (B, D) -> both stacks."""
        size, reach = horizontal.shape[1], self.reach
        to_vertical, to_horizontal = self.condition(condition)[:, None, None].chunk(2, -1)
        seen_above = _convolve(self.above, F.pad(vertical, (0, 0, reach, reach, reach, 0)))[:, :size]
        seen_left = _convolve(self.left, F.pad(horizontal, (0, 0, reach, 0)))[:, :, :size]
        passed_down = self.down(seen_above) + to_horizontal
        return _gated(seen_above + to_vertical), self._add(horizontal, seen_left + passed_down)

    @torch.no_grad()
    def initialise(self, generator: torch.Generator) -> None:
        """Weights that leave the size of features as it is, from layer to layer."""
        for part in (self.above, self.left, self.down, self.out, self.condition):
            part.weight.normal_(0, part.weight[0].numel() ** -0.5, generator=generator)
        if not self.is_first:
            self.above.weight *= GATE_GAIN

    def cache(self, condition: Tensor, grid_size: int) -> GridCache:
        """Empty grids of side `grid_size`, one for each of the conditions (B, D)."""
        biases, width, depth = self.condition(condition), self.out.in_features, self.left.kernel_size[1]
        return GridCache(
            biases,
            above=biases.new_zeros(len(biases), depth, grid_size, width),
            left=biases.new_zeros(len(biases), depth, width),
            passed_down=biases.new_zeros(len(biases), grid_size, 2 * width),
        )

    def begin_row(self, row: Tensor, cache: GridCache) -> Tensor:
        """A row of the vertical stack, (B, G, W) -> (B, G, W); what comes into the first layer is the row above."""
        cache.above = torch.cat([cache.above[:, 1:], row[:, None]], 1)
        cache.left.zero_()
        to_vertical, to_horizontal = cache.biases[:, None].chunk(2, -1)
        seen_above = _convolve(self.above, F.pad(cache.above, (0, 0, self.reach, self.reach)))[:, 0]
        cache.passed_down = self.down(seen_above) + to_horizontal
        return _gated(seen_above + to_vertical)

    def step(self, cell: Tensor, column: int, cache: GridCache) -> Tensor:
        """A cell of the horizontal stack, (B, W) -> (B, W); what comes into the first layer is the cell before."""
        cache.left = torch.cat([cache.left[:, 1:], cell[:, None]], 1)
        seen_left = F.linear(cache.left.flatten(1), self.left.weight.permute(0, 2, 3, 1).flatten(1))
        return self._add(cell, seen_left + cache.passed_down[:, column])

    def _add(self, horizontal: Tensor, features: Tensor) -> Tensor:
        """The horizontal stack (..., W) and what passes the gate of these features (..., 2W); in the first layer that alone."""
        passed_on = self.out(_gated(features))
        return passed_on if self.is_first else horizontal + passed_on


def _convolve(conv: nn.Conv2d, cells: Tensor) -> Tensor:
    """A convolution of (B, H, W, channels)."""
    return conv(cells.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)


def _gated(features: Tensor) -> Tensor:
    """(..., 2W) -> (..., W)."""
    values, gates = features.chunk(2, -1)
    return torch.tanh(values) * torch.sigmoid(gates)
