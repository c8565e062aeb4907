from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn

from dalle.dvae.model import DVAE, DVAEConfig
from dalle.generation.decoding import decode_codes


class PaintByNumber(nn.Module):
    """Code c paints its cell with the level c / 510 in red, and a half level above 10 / 255 in green."""

    config = SimpleNamespace(codebook_size=511, grid_size=3, image_size=6)

    def decode(self, codes):
        red = (codes / 510).repeat_interleave(2, 1).repeat_interleave(2, 2)
        return torch.stack([red, torch.full_like(red, 10.6 / 255), torch.ones_like(red)], 1)


def test_raster_order_rounding_and_layout():
    image_tokens = np.array([[0, 2, 4, 100, 102, 104, 506, 508, 510], [0] * 9], dtype=np.uint16)
    images = decode_codes(PaintByNumber(), image_tokens, batch_size=1, device="cpu")
    assert images.shape == (2, 6, 6, 3) and images.dtype == np.uint8
    expected = image_tokens.reshape(2, 3, 3).repeat(2, 1).repeat(2, 2) // 2
    np.testing.assert_array_equal(images[..., 0], expected)
    assert (images[..., 1] == 11).all() and (images[..., 2] == 255).all()


def test_a_real_dvae_in_any_batches():
    torch.manual_seed(0)
    widths = {"hidden_width": 8, "codebook_width": 8, "post_gain": 1.0}
    dvae = DVAE(DVAEConfig(image_size=16, codebook_size=8, num_groups=3, blocks_per_group=1, **widths))
    image_tokens = np.random.default_rng(0).integers(0, 8, (5, 16)).astype(np.uint16)
    whole = decode_codes(dvae, image_tokens, batch_size=8, device="cpu")
    with torch.no_grad():
        one = dvae.decode(torch.from_numpy(image_tokens[3].astype(np.int64)).view(1, 4, 4))[0]
    np.testing.assert_allclose(whole[3], one.permute(1, 2, 0).numpy() * 255, atol=0.51)
    difference = np.abs(whole.astype(int) - decode_codes(dvae, image_tokens, batch_size=2, device="cpu"))
    assert difference.max() <= 1  # at most a level that lay on the edge of rounding
    assert decode_codes(dvae, image_tokens[:0], batch_size=2, device="cpu").shape == (0, 16, 16, 3)


def test_tokens_that_are_no_codes_are_named():
    with pytest.raises(ValueError, match=r"shape \(2, 8\), this dVAE decodes 9 an image"):
        decode_codes(PaintByNumber(), np.zeros((2, 8), dtype=np.uint16), 2, "cpu")
    with pytest.raises(ValueError, match="outside this dVAE's codebook, 0 to 510"):
        decode_codes(PaintByNumber(), np.full((2, 9), 511, dtype=np.uint16), 2, "cpu")
