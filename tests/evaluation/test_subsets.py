import itertools

import numpy as np
import pytest

from dalle.evaluation.subsets import subset_winners

SWEEP = (1, 2, 4, 8)


def test_the_first_subset_is_the_order_of_drawing_and_winners_are_nested(rng):
    scores = rng.normal(size=(50, 8))
    chosen = subset_winners(scores, SWEEP, num_subsets=5, seed=0)
    assert chosen.shape == (5, 50, 4)
    np.testing.assert_array_equal(chosen[0], np.stack([scores[:, :n].argmax(axis=1) for n in SWEEP], axis=1))
    best = np.take_along_axis(scores[None], chosen, axis=2)
    assert (np.diff(best, axis=2) >= 0).all()  # a larger draw holds the smaller one
    assert (chosen[:, :, -1] == scores.argmax(axis=1)).all()


def test_each_candidate_wins_as_often_as_among_all_parts_of_the_pool():
    scores = np.array([[0.3, 0.9, 0.1, 0.5, 0.7, 0.2, 0.6, 0.4]])
    chosen = subset_winners(np.repeat(scores, 20_000, axis=0), (3,), num_subsets=2, seed=1)[1, :, 0]
    winners = [max(part, key=scores[0].__getitem__) for part in itertools.combinations(range(8), 3)]
    expected = np.bincount(winners, minlength=8) / len(winners)
    np.testing.assert_allclose(np.bincount(chosen, minlength=8) / len(chosen), expected, atol=0.015)


def test_depends_on_the_seed_alone_and_gives_equal_scores_to_the_lower_number(rng):
    scores = rng.normal(size=(30, 8))
    first = subset_winners(scores, SWEEP, num_subsets=4, seed=0)
    np.testing.assert_array_equal(first[:3], subset_winners(scores, SWEEP, num_subsets=3, seed=0))
    assert not np.array_equal(first, subset_winners(scores, SWEEP, num_subsets=4, seed=1))
    tied = subset_winners(np.zeros((9, 8)), (8,), num_subsets=3, seed=0)
    assert (tied == 0).all()


def test_no_subsets_and_a_pool_that_is_too_small():
    assert subset_winners(np.zeros((3, 8)), SWEEP, num_subsets=0, seed=0).shape == (0, 3, 4)
    with pytest.raises(ValueError, match=r"cannot choose among \[1, 16\] candidates: each caption has 8"):
        subset_winners(np.zeros((3, 8)), (1, 16), num_subsets=2, seed=0)
