import math

import numpy as np
import pytest
import torch
from torch_fidelity.metric_kid import kid_features_to_metric

from dalle.evaluation.kid import kid, squared_mmd


def test_equals_torch_fidelity(rng):
    x, y = rng.normal(0, 1, (60, 12)), rng.normal(0.3, 1.2, (75, 12))
    tensors = torch.from_numpy(x), torch.from_numpy(y)
    expected = kid_features_to_metric(*tensors, kid_subsets=9, kid_subset_size=40, verbose=False)
    mean, deviation = kid(x, y, subsets=9, subset_size=40)
    assert mean == pytest.approx(expected["kernel_inception_distance_mean"], rel=1e-10)
    assert deviation == pytest.approx(expected["kernel_inception_distance_std"], rel=1e-8)


def test_the_estimate_is_the_mean_over_pairs_written_out(rng):
    x, y = rng.normal(size=(5, 3)), rng.normal(size=(5, 3))

    def kernel(a, b):
        return (a @ b / 3 + 1) ** 3

    within = np.mean([kernel(s[i], s[j]) for s in (x, y) for i in range(5) for j in range(5) if i != j]) * 2
    between = np.mean([kernel(a, b) for a in x for b in y])
    assert squared_mmd(x, y) == pytest.approx(within - 2 * between, rel=1e-12)


def test_subsets_of_float32_features_are_those_pairs_in_float64(rng):
    """The draws repeated and every pair written out: what float32 features lose is lost before, not here."""
    x, y = (np.abs(rng.normal(shift, 1, (30, 7))).astype(np.float32) for shift in (0.2, 0.0))
    random, values = np.random.RandomState(2020), []
    for _ in range(4):
        a, b = (features[random.choice(30, 12, replace=False)].tolist() for features in (x, y))
        within = [_kernel(s[i], s[j]) for s in (a, b) for i in range(12) for j in range(12) if i != j]
        between = [_kernel(one, other) for one in a for other in b]
        values.append(math.fsum(within) / (12 * 11) - 2 * math.fsum(between) / 12**2)
    mean, deviation = kid(x, y, subsets=4, subset_size=12)
    assert mean == pytest.approx(np.mean(values), rel=1e-12) and deviation == pytest.approx(np.std(values), rel=1e-12)


def _kernel(a, b):
    return (math.fsum(p * q for p, q in zip(a, b, strict=True)) / len(a) + 1) ** 3


def test_the_order_of_images_does_not_matter_where_a_subset_is_the_whole_set(rng):
    x, y = rng.normal(0, 1, (40, 6)), rng.normal(0.5, 1, (40, 6))
    over = {"subsets": 2, "subset_size": 40}
    assert kid(rng.permutation(x), rng.permutation(y), **over)[0] == pytest.approx(kid(x, y, **over)[0], rel=1e-12)


def test_is_zero_on_average_for_one_distribution_at_few_samples(rng):
    values = [squared_mmd(*rng.normal(size=(2, 20, 6))) for _ in range(400)]
    assert abs(np.mean(values)) < 4 * np.std(values) / np.sqrt(400)
    assert min(values) < 0


def test_refuses_subsets_larger_than_a_set(rng):
    with pytest.raises(ValueError, match=r"kid_subset_size must be between 2 and .* \(4\), got 5"):
        kid(rng.normal(size=(9, 3)), rng.normal(size=(4, 3)), subsets=2, subset_size=5)
