import numpy as np
import pytest
import torch
from scipy.linalg import sqrtm
from torch_fidelity.metric_fid import fid_features_to_statistics, fid_statistics_to_metric

from dalle.evaluation.fid import FrechetReference, fid, fid_resamples
from dalle.evaluation.statistics import FeatureStatistics
from dalle.randomness import numpy_generator


def correlated(rng, n, d, shift=0.0):
    """Features that look like a network's: all positive, correlated, of very different scales."""
    mixing = np.random.default_rng(99).normal(size=(d, d)) * np.geomspace(2, 0.01, d)
    return np.abs(rng.normal(size=(n, d)) @ mixing + shift)


def torch_fidelity_fid(x, y):
    statistics = [fid_features_to_statistics(torch.from_numpy(features)) for features in (x, y)]
    return fid_statistics_to_metric(*statistics, verbose=False)["frechet_inception_distance"]


@pytest.mark.parametrize(("n", "m"), [(300, 400), (300, 20), (20, 300), (20, 25), (33, 33), (2, 2)])
def test_equals_torch_fidelity_with_more_and_with_fewer_samples_than_features(rng, n, m):
    x, y = correlated(rng, n, 32), correlated(rng, m, 32, shift=0.3)
    # with too few samples the oracle takes roots of eigenvalues that are zero up to rounding
    assert fid(x, y) == pytest.approx(torch_fidelity_fid(x, y), rel=1e-10 if min(n, m) > 33 else 1e-6)


def test_equals_the_matrix_square_root(rng):
    x, y = correlated(rng, 200, 16), correlated(rng, 150, 16, shift=0.2)
    sx, sy = np.cov(x, rowvar=False), np.cov(y, rowvar=False)
    expected = ((x.mean(0) - y.mean(0)) ** 2).sum() + np.trace(sx + sy - 2 * sqrtm(sx @ sy).real)
    assert fid(x, y) == pytest.approx(expected, rel=1e-9)  # the oracle's root of a badly conditioned product is no better


@pytest.mark.parametrize("d", [8, 200])
def test_closed_form_of_two_gaussians_on_common_axes(rng, d):
    """Whitened samples have exactly the wanted mean and covariance: sum of (m1 - m2)^2 + (s1 - s2)^2 over the axes."""
    noise = rng.normal(size=(60, min(d, 50)))
    white = np.linalg.qr(noise - noise.mean(0))[0] * np.sqrt(59)
    white = white @ np.linalg.qr(np.random.default_rng(5).normal(size=(d, white.shape[1])))[0].T
    x, y = 2.0 * white + 1.0, 0.5 * white - 0.25
    assert fid(x, y) == pytest.approx(d * 1.25**2 + min(d, 50) * 1.5**2, rel=1e-12)


@pytest.mark.parametrize("angle", [0.0, 0.4, 1.2])
def test_closed_form_of_two_gaussians_on_turned_axes(rng, angle):
    """In two dimensions tr (S1 S2)^(1/2) = sqrt(tr S1 S2 + 2 sqrt(det S1 S2)), whether or not the matrices commute."""
    noise = rng.normal(size=(2, 80, 2))
    white = [np.linalg.qr(part - part.mean(0))[0] * np.sqrt(79) for part in noise]
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    x, y = white[0] * (3.0, 0.5) + (1.0, 2.0), white[1] * (2.0, 0.2) @ turn.T
    s1, s2 = np.diag([9.0, 0.25]), turn @ np.diag([4.0, 0.04]) @ turn.T
    root = np.sqrt(np.trace(s1 @ s2) + 2 * 3.0 * 0.5 * 2.0 * 0.2)
    assert fid(x, y) == pytest.approx(5 + 9.25 + 4.04 - 2 * root, rel=1e-12)


@pytest.mark.parametrize("n", [40, 10])
def test_a_set_against_itself_is_zero_and_order_and_side_do_not_matter(rng, n):
    x, y = correlated(rng, n, 16), correlated(rng, n, 16, shift=0.4)
    assert fid(x, x) == pytest.approx(0, abs=1e-9 * np.trace(np.cov(x, rowvar=False)))
    assert fid(x, y) == pytest.approx(fid(y, x), rel=1e-10)
    assert fid(rng.permutation(x), y) == pytest.approx(fid(x, y), rel=1e-10)


@pytest.mark.parametrize(("n", "m"), [(120, 100), (12, 100), (12, 10), (120, 10)])
def test_weights_count_rows_repeatedly(rng, n, m):
    x, y = correlated(rng, n, 16), correlated(rng, m, 16, shift=0.1)
    weights = rng.integers(0, 3, n)
    assert FrechetReference(y).distance(x, weights) == pytest.approx(fid(np.repeat(x, weights, axis=0), y), rel=1e-9)


def test_spread_of_resamples_is_that_of_fresh_samples(rng):
    """The bootstrap's standard deviation agrees with the one over independent sets, which it stands for."""
    reference = FrechetReference(correlated(rng, 2000, 8))
    fresh = [reference.distance(correlated(rng, 400, 8, shift=0.5)) for _ in range(60)]
    resampled = fid_resamples(correlated(rng, 400, 8, shift=0.5), reference, num_resamples=60, seed=1)
    assert resampled.std(ddof=1) == pytest.approx(np.std(fresh, ddof=1), rel=0.35)


def test_resamples_depend_on_the_seed_alone(rng):
    x, reference = correlated(rng, 30, 8), FrechetReference(correlated(rng, 40, 8))
    first = fid_resamples(x, reference, num_resamples=5, seed=3)
    np.testing.assert_array_equal(first[:3], fid_resamples(x, reference, num_resamples=3, seed=3))
    assert not np.array_equal(first, fid_resamples(x, reference, num_resamples=5, seed=4))


def test_one_image_has_no_covariance(rng):
    with pytest.raises(ValueError, match="at least 2 images, got 1"):
        FrechetReference(correlated(rng, 4, 3)).distance(np.ones((1, 3)))
    with pytest.raises(ValueError, match="at least 2 reference images, got 1"):
        FrechetReference(np.ones((1, 3)))


def test_streamed_and_merged_statistics_are_those_of_the_whole(rng):
    features = correlated(rng, 9000, 6).astype(np.float32)
    streamed = FeatureStatistics(6)
    for part in np.array_split(features[:5000], 7):
        streamed.add(part)
    merged = streamed.merge(FeatureStatistics.of(features[5000:]))
    assert merged.num_samples == 9000
    np.testing.assert_allclose(merged.mean, features.mean(axis=0, dtype=np.float64), rtol=1e-12)
    np.testing.assert_allclose(merged.covariance, np.cov(features.astype(np.float64), rowvar=False), rtol=1e-9, atol=1e-12)


def test_covariance_of_one_sample_is_refused():
    with pytest.raises(ValueError, match="at least 2 samples, got 1"):
        _ = FeatureStatistics.of(np.ones((1, 4))).covariance


@pytest.mark.parametrize(("number", "others"), [(40, 60), (30, 12), (60, 400)])
def test_resamples_are_distances_of_the_rows_they_drew(rng, number, others):
    features, reference = rng.normal(size=(number, 24)) * 2 + 1, FrechetReference(rng.normal(size=(others, 24)))
    found = fid_resamples(features, reference, num_resamples=3, seed=4)
    for index, value in enumerate(found):
        drawn = numpy_generator(4, "fid", index).integers(number, size=number)
        assert value == pytest.approx(reference.distance(features[drawn]), rel=1e-6)
