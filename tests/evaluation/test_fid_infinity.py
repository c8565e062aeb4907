import numpy as np
import pytest

from dalle.evaluation.fid import FrechetReference, fid
from dalle.evaluation.fid_infinity import fid_infinity


def test_is_nearer_the_truth_than_fid_at_the_same_number_of_samples(rng):
    """Both sets are of one Gaussian: at infinitely many samples FID is 0, and all that is measured is bias."""
    reference = FrechetReference(rng.normal(size=(100_000, 30)))
    values = {"fid": [], "infinity": []}
    for seed in range(4):
        samples = rng.normal(size=(400, 30))
        values["fid"].append(reference.distance(samples))
        values["infinity"].append(fid_infinity(samples, reference, seed=seed)[0])
    assert min(values["fid"]) > 0.4 and np.abs(values["infinity"]).max() < 0.25


def test_equal_sets_extrapolate_to_about_zero_with_an_error(rng):
    samples, reference = rng.normal(size=(600, 6)), rng.normal(size=(5000, 6))
    value, error = fid_infinity(samples, FrechetReference(reference), seed=0)
    assert value < fid(samples, reference) and 0 < error < 0.1
    assert fid_infinity(samples, FrechetReference(reference), seed=0) == (value, error)


def test_too_few_for_a_line():
    with pytest.raises(ValueError, match="fid_infinity needs at least 10 images, got 9"):
        fid_infinity(np.ones((9, 2)), FrechetReference(np.eye(3)), seed=0)
