import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from torch_fidelity.metric_isc import isc_features_to_metric

from dalle.evaluation.inception_score import inception_score


@pytest.mark.parametrize(("n", "splits"), [(100, 10), (103, 10), (50, 1), (7, 7)])
def test_equals_torch_fidelity(rng, n, splits):
    logits = rng.normal(0, 3, (n, 20)).astype(np.float32)
    expected = isc_features_to_metric(torch.from_numpy(logits), splits=splits, shuffle=True, rng_seed=2020)
    mean, deviation = inception_score(logits, splits=splits)
    assert mean == pytest.approx(expected["inception_score_mean"], rel=1e-12)
    assert deviation == pytest.approx(expected["inception_score_std"], rel=1e-10, abs=1e-12)


def test_sure_and_evenly_spread_classes_score_their_number():
    logits = 60.0 * np.eye(8)[np.arange(80) % 8]
    assert inception_score(logits, splits=1)[0] == pytest.approx(8)


def test_images_that_all_look_alike_score_one():
    assert inception_score(np.ones((40, 8)), splits=4) == pytest.approx((1, 0))


@given(arrays(np.float32, st.tuples(st.integers(2, 12), st.integers(1, 6)), elements=st.floats(-50, 50, width=32)), st.data())
def test_lies_between_one_and_the_number_of_classes(logits, data):
    score, deviation = inception_score(logits, splits=data.draw(st.integers(1, len(logits))))
    assert 1 - 1e-12 <= score <= logits.shape[1] + 1e-12 and deviation >= 0


@pytest.mark.parametrize("splits", [0, 6])
def test_refuses_splits_without_images(splits):
    with pytest.raises(ValueError, match=rf"inception_splits must be between 1 and the number of images \(5\), got {splits}"):
        inception_score(np.ones((5, 3)), splits=splits)
