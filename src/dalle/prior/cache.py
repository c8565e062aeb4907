"""What cached sampling keeps of positions already seen: text keys and values once a caption, image ones once a candidate."""

from dataclasses import dataclass, field

import torch
from torch import Tensor


@dataclass
class LayerCache:
    """Keys and values of one layer: text (C, N, T, D/N) of C captions, image (G*G, B, N, D/N) of their B = C * candidates rows.

    Positions come first in the image part, so that writing one and reading a span of them touch contiguous memory.
    """

    text_keys: Tensor = field(default_factory=lambda: torch.empty(0))
    text_values: Tensor = field(default_factory=lambda: torch.empty(0))
    image_keys: Tensor = field(default_factory=lambda: torch.empty(0))
    image_values: Tensor = field(default_factory=lambda: torch.empty(0))

    def write_text(self, keys: Tensor, values: Tensor) -> None:
        """Store (C, N, T, D/N) keys and values; on a CPU in float32, whose small products are three times as fast as bf16's."""
        dtype = torch.float32 if keys.device.type == "cpu" else keys.dtype
        self.text_keys, self.text_values = keys.to(dtype).contiguous(), values.to(dtype).contiguous()

    def allocate(self, num_candidates: int, num_positions: int) -> "LayerCache":
        """The same text, shared and not copied, with room for `num_candidates` images a caption."""
        num_captions, heads, _, size = self.text_keys.shape
        shape = (num_positions, num_captions * num_candidates, heads, size)
        return LayerCache(self.text_keys, self.text_values, self.text_keys.new_empty(shape), self.text_keys.new_empty(shape))

    def write_image(self, position: int, keys: Tensor, values: Tensor) -> None:
        """Store (B, N, D/N) keys and values of an image position."""
        self.image_keys[position] = keys
        self.image_values[position] = values


@dataclass
class Cache:
    """The caches of all layers for captions times candidates; row c * candidates + n is candidate n of caption c."""

    layers: list[LayerCache]
    num_positions: int

    @property
    def num_rows(self) -> int:
        return self.layers[0].image_keys.shape[1]

    def for_candidates(self, num_candidates: int) -> "Cache":
        """A fresh cache for `num_candidates` images a caption after the same prefilled text."""
        return Cache([layer.allocate(num_candidates, self.num_positions) for layer in self.layers], self.num_positions)


@dataclass(frozen=True)
class LiveKeys:
    """The image positions one query attends to: an evenly spaced span, and what is added to the scores in it (None: nothing).

    A row and a column are spans without gaps. A convolution's gaps cost less when computed and masked with minus infinity
    than when gathered: a span is a view of the cache, indexing copies it.
    """

    span: slice
    added: Tensor | None


def live_keys(image_mask: Tensor) -> list[LiveKeys]:
    """One entry a query of the mask (G*G, G*G)."""
    return [_live_keys(row) for row in image_mask]


def _live_keys(allowed: Tensor) -> LiveKeys:
    positions = allowed.nonzero().flatten()
    gaps = positions.diff().unique().tolist()
    stride = gaps[0] if len(gaps) == 1 else 1
    span = slice(int(positions[0]), int(positions[-1]) + 1, stride)
    if len(gaps) <= 1:
        return LiveKeys(span, None)
    inside = allowed[span]
    return LiveKeys(span, torch.zeros(len(inside), device=allowed.device).masked_fill(~inside, float("-inf")))
