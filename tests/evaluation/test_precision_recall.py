import numpy as np
import pytest
import torch
from torch_fidelity.metric_prc import prc_features_to_metric

from dalle.evaluation.precision_recall import Manifold, Share, precision_recall


def of(samples, reference, neighbourhood=3):
    return precision_recall(Manifold(samples, neighbourhood), Manifold(reference, neighbourhood))


@pytest.mark.parametrize(("n", "m", "shift", "neighbourhood"), [(200, 200, 0.8, 3), (60, 90, 0.3, 5), (1500, 40, 0.5, 1)])
def test_equals_torch_fidelity(rng, n, m, shift, neighbourhood):
    samples, reference = rng.normal(shift, 1, (n, 6)), rng.normal(0, 1, (m, 6))
    tensors = torch.from_numpy(samples), torch.from_numpy(reference)
    expected = prc_features_to_metric(*tensors, prc_neighborhood=neighbourhood, verbose=False)
    precision, recall = of(samples, reference, neighbourhood)
    # torch-fidelity's own mean is float32
    assert (precision.value, recall.value) == pytest.approx((expected["precision"], expected["recall"]), rel=1e-7)
    assert 0 < precision.value < 1 and 0 < recall.value < 1


def test_a_set_against_itself_and_against_another_world(rng):
    samples = rng.normal(size=(50, 4))
    assert [share.value for share in of(samples, samples)] == [1, 1]
    assert [share.value for share in of(samples, samples + 100)] == [0, 0]


def test_one_mode_of_two_is_precise_and_does_not_recall(rng):
    modes = rng.normal(size=(200, 4)) + np.where(np.arange(200) < 100, 0, 50)[:, None]
    precision, recall = of(rng.normal(size=(100, 4)), modes)
    assert precision.value > 0.85 and recall.value == pytest.approx(0.5, abs=0.05)


def test_the_interval_is_wilsons():
    share = Share.of(np.arange(1000) < 900)
    assert share == pytest.approx((0.9, 0.87985, 0.91709), abs=1e-5)  # as published for 900 of 1000


@pytest.mark.parametrize("neighbourhood", [0, 4])
def test_refuses_more_neighbours_than_there_are(neighbourhood):
    with pytest.raises(ValueError, match=rf"neighbourhood must be between 1 and one less .* \(4\), got {neighbourhood}"):
        Manifold(np.ones((4, 2)), neighbourhood)
