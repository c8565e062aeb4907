"""What cached sampling keeps of positions already seen: text keys and values once a caption, image ones once a candidate."""

from dataclasses import dataclass, field
from functools import lru_cache

import torch
from torch import Tensor

from dalle.prior.masks import attends, farthest_offset


@dataclass(frozen=True)
class LiveKeys:
    """For one position of the raster: the slot its own key and value go to, and the slots it attends to, itself among them.

    `added` is what the scores in the span get, 0 or minus infinity; None: nothing. Keys between live ones cost less when
    computed and masked than when gathered: a span is a view of the cache, indexing copies it.
    """

    slot: int
    span: slice
    added: Tensor | None


@dataclass(frozen=True)
class Slots:
    """Where a layer's cache keeps the keys of image positions: only as many as some later position can still attend to.

    A row needs the last G + 1, a convolution those as far back as its farthest key: a ring, in which the newest takes the
    place of the oldest. (Attention does not care in which order its keys lie.) A column needs all.
    """

    capacity: int
    live: tuple[LiveKeys, ...]  # one a position


@lru_cache(maxsize=16)
def slots_of(mask: str, grid_size: int, conv_kernel: int, device: torch.device) -> Slots:
    """The cache of a layer with this mask."""
    num_positions, stride = grid_size**2, grid_size if mask == "column" else 1
    capacity = num_positions if stride > 1 else farthest_offset(mask, grid_size, conv_kernel) + 1
    live = []
    for position in range(num_positions):
        slot = position % capacity
        span = slice(position % stride, position + 1, stride) if stride > 1 else slice(0, min(position + 1, capacity))
        slots = torch.arange(capacity)[span]
        keys = position - (slot - slots) % capacity  # the newest position in each slot
        allowed = attends(mask, torch.tensor(position), keys, grid_size, conv_kernel)
        added = None if allowed.all() else torch.zeros(len(keys)).masked_fill_(~allowed, float("-inf")).to(device)
        live.append(LiveKeys(slot, span, added))
    return Slots(capacity, tuple(live))


@dataclass
class LayerCache:
    """Keys and values of one layer: text (C, N, T, h) of C captions, image (slots, B, N, h) of their B = C * candidates rows.

    Slots come first in the image part, so that writing one and reading a span of them touch contiguous memory.
    """

    slots: Slots
    text_keys: Tensor = field(default_factory=lambda: torch.empty(0))
    text_values: Tensor = field(default_factory=lambda: torch.empty(0))
    image_keys: Tensor = field(default_factory=lambda: torch.empty(0))
    image_values: Tensor = field(default_factory=lambda: torch.empty(0))

    def write_text(self, keys: Tensor, values: Tensor) -> None:
        """Store (C, N, T, h) keys and values; on a CPU in float32, whose small products are three times as fast as bf16's."""
        dtype = torch.float32 if keys.device.type == "cpu" else keys.dtype
        self.text_keys, self.text_values = keys.to(dtype).contiguous(), values.to(dtype).contiguous()

    def allocate(self, num_candidates: int) -> "LayerCache":
        """The same text, shared and not copied, with room for `num_candidates` images a caption."""
        num_captions, heads, _, size = self.text_keys.shape
        shape = (self.slots.capacity, num_captions * num_candidates, heads, size)
        empty = (self.text_keys.new_empty(shape) for _ in range(2))
        return LayerCache(self.slots, self.text_keys, self.text_values, *empty)

    def write_image(self, slot: int, keys: Tensor, values: Tensor) -> None:
        """Store (B, N, h) keys and values of an image position."""
        self.image_keys[slot] = keys
        self.image_values[slot] = values


@dataclass
class Cache:
    """The caches of all layers for captions times candidates; row c * candidates + n is candidate n of caption c."""

    layers: list[LayerCache]

    @property
    def num_rows(self) -> int:
        return self.layers[0].image_keys.shape[1]

    def for_candidates(self, num_candidates: int) -> "Cache":
        """A fresh cache for `num_candidates` images a caption after the same prefilled text."""
        return Cache([layer.allocate(num_candidates) for layer in self.layers])
