import numpy as np
import pytest

from dalle.clip.ranking import distinct_winners, winners


def test_is_the_best_of_the_first_n_written_out():
    scores = np.random.default_rng(0).integers(0, 5, (30, 16)).astype(np.float32)  # many ties
    sweep = (1, 2, 4, 8, 16)
    expected = [[max(range(n), key=lambda i, row=row: (row[i], -i)) for n in sweep] for row in scores]
    assert winners(scores, sweep).tolist() == expected


def test_more_candidates_never_lower_the_score():
    scores = np.random.default_rng(1).normal(size=(50, 64))
    chosen = winners(scores, (1, 2, 4, 8, 16, 32, 64))
    best = np.take_along_axis(scores, chosen, axis=1)
    assert (np.diff(best, axis=1) >= 0).all()
    assert (chosen[:, 0] == 0).all()


def test_distinct_winners_are_listed_once_in_order():
    assert distinct_winners(np.array([[0, 0, 7], [0, 3, 1]])) == [(0, 0), (0, 7), (1, 0), (1, 1), (1, 3)]


def test_refuses_more_candidates_than_there_are():
    with pytest.raises(ValueError, match="first 8 candidates: each caption has 4"):
        winners(np.zeros((2, 4)), (1, 8))
    with pytest.raises(ValueError, match="first 0 candidates"):
        winners(np.zeros((2, 4)), (0,))


def test_refuses_scores_that_are_not_numbers():
    with pytest.raises(ValueError, match="not numbers"):
        winners(np.array([[0.0, np.nan]]), (1, 2))
