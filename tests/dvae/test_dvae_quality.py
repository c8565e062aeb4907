import math

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter

from dalle.dvae.quality import codebook_use, psnr_db, ssim
from tiny_dvaes import blobs


def slow_ssim(x, y):
    """One image (3, H, W) in float64 with SciPy's filter: a window of 11 is a truncation at 5 pixels; borders are cut off."""

    def smooth(plane):
        return gaussian_filter(plane, 1.5, truncate=3.5, mode="constant")[5:-5, 5:-5]

    maps = []
    for a, b in zip(x.double().numpy(), y.double().numpy(), strict=True):
        mean_a, mean_b = smooth(a), smooth(b)
        var_a, var_b, covariance = smooth(a * a) - mean_a**2, smooth(b * b) - mean_b**2, smooth(a * b) - mean_a * mean_b
        c1, c2 = 0.0001, 0.0009
        maps.append(
            (2 * mean_a * mean_b + c1) * (2 * covariance + c2) / ((mean_a**2 + mean_b**2 + c1) * (var_a + var_b + c2))
        )
    return np.mean(maps)


@pytest.mark.parametrize("noise", [0.01, 0.2])
def test_similarity_equals_an_independent_one(noise):
    images = blobs(4, 0, size=32)
    spoiled = (images + noise * torch.randn(images.shape, generator=torch.Generator().manual_seed(1))).clamp(0, 1)
    expected = [slow_ssim(x, y) for x, y in zip(images, spoiled, strict=True)]
    np.testing.assert_allclose(ssim(images, spoiled).numpy(), expected, atol=1e-4)
    np.testing.assert_allclose(ssim(spoiled, images).numpy(), expected, atol=1e-4)


def test_similarity_is_one_for_the_same_image_and_falls_with_noise():
    images = blobs(4, 0, size=24)
    noise = torch.randn(images.shape, generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(ssim(images, images), torch.ones(4))
    levels = [ssim(images, images + scale * noise).mean().item() for scale in (0.0, 0.02, 0.1, 0.5)]
    assert levels == sorted(levels, reverse=True) and levels[-1] < 0.5


def test_signal_to_noise_ratio_of_known_errors():
    images = blobs(4, 0)
    off = images + torch.tensor([0.1, 0.01, 0.5, 0.0]).view(4, 1, 1, 1)
    expected = torch.tensor([20.0, 40.0, 20 * math.log10(2), 100.0])  # identical images count as 100 dB
    torch.testing.assert_close(psnr_db(images, off), expected, atol=1e-3, rtol=0)
    one_subpixel = images.clone()
    one_subpixel[0, 1, 3, 5] -= 0.5
    assert psnr_db(images, one_subpixel)[0].item() == pytest.approx(10 * math.log10(3 * 16 * 16 / 0.25), abs=1e-3)


@pytest.mark.parametrize("used", [1, 3, 8])
def test_evenly_used_codes_have_a_perplexity_of_their_number(used):
    counts = torch.tensor([5] * used + [0] * (8 - used))
    assert codebook_use(counts) == (used / 8, pytest.approx(used))


def test_perplexity_of_uneven_use():
    fraction, perplexity = codebook_use(torch.tensor([2, 1, 1, 0]))
    assert (fraction, perplexity) == (0.75, pytest.approx(2**1.5))  # an entropy of 1.5 bits
