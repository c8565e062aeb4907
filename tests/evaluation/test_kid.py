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


def test_is_zero_on_average_for_one_distribution_at_few_samples(rng):
    values = [squared_mmd(*rng.normal(size=(2, 20, 6))) for _ in range(400)]
    assert abs(np.mean(values)) < 4 * np.std(values) / np.sqrt(400)
    assert min(values) < 0


def test_refuses_subsets_larger_than_a_set(rng):
    with pytest.raises(ValueError, match=r"kid_subset_size must be between 2 and .* \(4\), got 5"):
        kid(rng.normal(size=(9, 3)), rng.normal(size=(4, 3)), subsets=2, subset_size=5)
