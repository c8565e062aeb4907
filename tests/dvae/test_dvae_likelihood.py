import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import expit, logit
from scipy.stats import laplace, norm

from dalle.dvae.likelihood import logit_laplace_nll, map_pixels, mse_nll, unmap_pixels

locations = st.floats(-2, 2)
scales = st.floats(0.05, 0.7)


def density(x, mu, b):
    """f of the first channel at the numbers `x`, from the negative log-likelihood."""
    maps = torch.tensor([mu, 0.0, 0.0, np.log(b), 0.0, 0.0]).view(1, 6, 1, 1).expand(1, 6, 1, len(x))
    pixels = torch.from_numpy(x).view(1, 1, 1, -1).expand(1, 3, 1, -1)
    return np.exp(-logit_laplace_nll(maps, pixels)[0, 0, 0].double().numpy())


@settings(max_examples=40, deadline=None)
@given(locations, scales)
def test_the_density_integrates_to_one_with_half_below_its_location(mu, b):
    x = np.sort(np.append(expit(np.linspace(-10, 10, 20_001)), expit(mu)))
    f = density(x, mu, b)
    assert np.trapezoid(f, x) == pytest.approx(1, abs=2e-3)
    below = x <= expit(mu)
    assert np.trapezoid(f[below], x[below]) == pytest.approx(0.5, abs=2e-3)


@settings(max_examples=40, deadline=None)
@given(st.floats(0.1, 0.9), locations, st.floats(0.05, 20))
def test_the_density_is_that_of_the_sigmoid_of_a_laplace_variable(x, mu, b):
    expected = laplace.pdf(logit(x), mu, b) / (x * (1 - x))
    assert density(np.array([x]), mu, b)[0] == pytest.approx(expected, rel=1e-3, abs=1e-30)


def test_each_subpixel_has_the_maps_of_its_own_channel():
    generator = torch.Generator().manual_seed(0)
    maps, images = torch.randn(2, 6, 4, 4, generator=generator), torch.rand(2, 3, 4, 4, generator=generator)
    mapped = map_pixels(images)
    nll = logit_laplace_nll(maps, mapped)
    x, maps = mapped.double().numpy(), maps.double().numpy()
    expected = -laplace.logpdf(logit(x), maps[:, :3], np.exp(maps[:, 3:])) + np.log(x * (1 - x))
    np.testing.assert_allclose(nll.numpy(), expected, atol=1e-5)


def test_the_likelihood_is_computed_in_float32_from_half_precision_maps():
    maps, mapped = torch.randn(1, 6, 2, 2, generator=torch.Generator().manual_seed(0)), torch.full((1, 3, 2, 2), 0.3)
    half = maps.bfloat16()
    assert logit_laplace_nll(half, mapped).dtype == torch.float32
    assert torch.equal(logit_laplace_nll(half, mapped), logit_laplace_nll(half.float(), mapped))


@settings(max_examples=50, deadline=None)
@given(st.lists(st.floats(0, 1, width=32), min_size=1, max_size=20))
def test_unmapping_undoes_mapping_and_mapping_stays_away_from_zero_and_one(values):
    images = torch.tensor(values)
    mapped = map_pixels(images)
    assert mapped.min() >= 0.1 - 1e-6 and mapped.max() <= 0.9 + 1e-6
    torch.testing.assert_close(unmap_pixels(mapped), images, atol=1e-6, rtol=0)


def test_the_range_s_ends_and_what_lies_outside():
    torch.testing.assert_close(map_pixels(torch.tensor([0.0, 0.5, 1.0])), torch.tensor([0.1, 0.5, 0.9]))
    assert unmap_pixels(torch.tensor([0.0, 0.05, 0.95, 1.0])).tolist() == [0, 0, 1, 1]


def test_mse_is_a_gaussian_with_the_variance_that_suits_the_batch_best():
    generator = torch.Generator().manual_seed(0)
    maps, mapped = torch.randn(3, 6, 4, 4, generator=generator), map_pixels(torch.rand(3, 3, 4, 4, generator=generator))
    x, means = mapped.double().numpy(), expit(maps[:, :3].double().numpy())
    deviation = np.sqrt(((x - means) ** 2).mean())
    np.testing.assert_allclose(mse_nll(maps, mapped).numpy(), -norm.logpdf(x, means, deviation), rtol=1e-4, atol=1e-5)
    others = [-norm.logpdf(x, means, factor * deviation).mean() for factor in (0.8, 0.95, 1.05, 1.25)]
    assert mse_nll(maps, mapped).mean() < min(others)


def test_mse_follows_the_gradient_of_half_the_logarithm_of_the_squared_error():
    generator = torch.Generator().manual_seed(0)
    maps = torch.randn(3, 6, 4, 4, generator=generator, requires_grad=True)
    mapped = map_pixels(torch.rand(3, 3, 4, 4, generator=generator))
    (actual,) = torch.autograd.grad(mse_nll(maps, mapped).mean(), maps)
    (expected,) = torch.autograd.grad((torch.sigmoid(maps[:, :3]) - mapped).square().mean().log() / 2, maps)
    torch.testing.assert_close(actual, expected)


def test_a_perfect_picture_costs_no_infinity():
    mapped = map_pixels(torch.full((1, 3, 2, 2), 0.5))
    assert torch.isfinite(mse_nll(torch.zeros(1, 6, 2, 2), mapped)).all()
