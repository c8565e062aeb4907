"""Block-sparse attention against torch's own under the whole boolean mask, and what it must never make."""

import pytest
import torch
import torch.nn.functional as F
from torch.utils._python_dispatch import TorchDispatchMode

from dalle.prior.attention import sparse_attention
from dalle.prior.layout import MIN_BLOCK, Layout
from dalle.prior.masks import MASKS, sequence_mask

ALWAYS, NEVER = 1, 1000  # min_block


def projections(batch: int, length: int, heads: int = 2, size: int = 8, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    """Random queries, keys and values (B, S, 3, N, h), and a gradient for what attention makes of them."""
    generator = torch.Generator().manual_seed(seed)
    qkv = torch.randn(batch, length, 3, heads, size, dtype=torch.float64, generator=generator)
    return qkv.requires_grad_(), torch.randn(batch, length, heads * size, dtype=torch.float64, generator=generator)


def by_the_whole_mask(qkv: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    queries, keys, values = qkv.permute(2, 0, 3, 1, 4)
    return F.scaled_dot_product_attention(queries, keys, values, attn_mask=mask).transpose(1, 2).flatten(2)


@pytest.mark.parametrize("min_block", [ALWAYS, NEVER], ids=["blocks", "dense"])
@pytest.mark.parametrize("mask", MASKS)
@pytest.mark.parametrize(
    ("batch", "text_length", "grid_size", "conv_kernel"),
    [(1, 1, 1, 1), (1, 3, 2, 3), (3, 5, 4, 3), (1, 2, 5, 11), (2, 7, 9, 5), (2, 4, MIN_BLOCK + 1, 11)],
)
def test_attention_equals_the_dense_oracle_in_value_and_gradient(mask, min_block, batch, text_length, grid_size, conv_kernel):
    qkv, gradient = projections(batch, text_length + grid_size**2)
    attended = sparse_attention(qkv, Layout(mask, text_length, grid_size, conv_kernel, min_block=min_block))
    expected = by_the_whole_mask(qkv, sequence_mask(mask, text_length, grid_size, conv_kernel))
    torch.testing.assert_close(attended, expected)
    torch.testing.assert_close(*(torch.autograd.grad(out, qkv, gradient) for out in (attended, expected)))


def test_text_alone_is_causal():
    qkv, gradient = projections(2, 9)
    attended, expected = sparse_attention(qkv, None), by_the_whole_mask(qkv, torch.ones(9, 9).tril().bool())
    torch.testing.assert_close(attended, expected)
    torch.testing.assert_close(*(torch.autograd.grad(out, qkv, gradient) for out in (attended, expected)))


@pytest.mark.parametrize("mask", ["row", "column", "convolution"])
def test_the_written_out_gradient_is_that_of_finite_differences(mask):
    qkv, _ = projections(1, 3 + 16, heads=1, size=2)
    layout = Layout(mask, 3, 4, 3, min_block=ALWAYS)
    assert torch.autograd.gradcheck(lambda leaf: sparse_attention(leaf, layout), (qkv,))


class LargestTensor(TorchDispatchMode):
    """Remembers the number of elements of the largest storage that any operation gives back."""

    largest = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        result = function(*args, **(kwargs or {}))
        for tensor in result if isinstance(result, tuple | list) else [result]:
            if isinstance(tensor, torch.Tensor):
                size = tensor.untyped_storage().nbytes() // tensor.element_size()
                self.largest = max(self.largest, size)
        return result


@pytest.mark.parametrize("mask", ["row", "column", "convolution"])
def test_at_the_paper_s_size_nothing_is_as_large_as_all_pairs(mask):
    text_length, grid_size, heads = 256, 32, 2
    length = text_length + grid_size**2
    with LargestTensor() as seen:
        layout = Layout(mask, text_length, grid_size, 11)
        qkv = torch.randn(1, length, 3, heads, 4, requires_grad=True)
        sparse_attention(qkv, layout).sum().backward()
    window = {"row": 2 * grid_size, "column": grid_size, "convolution": 7 * grid_size}[mask]
    assert seen.largest == heads * grid_size**2 * (text_length + window)  # the scores
    assert seen.largest < heads * length**2 / 2


def test_windows_and_blocks_are_undone_by_their_transposes():
    layout = Layout("convolution", 2, 6, 5, min_block=ALWAYS)
    image = torch.arange(36.0)[:, None]
    assert torch.equal(layout.from_blocks(layout.to_blocks(image)), image)
    windows = layout.to_windows(image)
    assert torch.equal(windows[3].flatten(), torch.arange(0.0, 24.0))
    # <to_windows(a), b> = <a, from_windows(b)>
    other = torch.randn(windows.shape, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close((windows * other).sum(), (image * layout.from_windows(other)).sum())
