import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dalle.overlap.scoring import average_precision, calibration, precision_and_recall


def test_the_lowest_threshold_that_is_right_often_enough():
    own, others = np.array([0.9, 0.8, 0.7, 0.6]), np.array([0.75, 0.65, 0.1, 0.1])
    suggested = {recall: calibration(own, others, recall) for recall in (1.0, 0.75, 0.6)}
    assert suggested[1.0] == {"valid/suggested_threshold": 0.8, "valid/precision": 1.0, "valid/recall": 0.5}
    assert suggested[0.75] == {"valid/suggested_threshold": 0.7, "valid/precision": 0.75, "valid/recall": 0.75}
    assert suggested[0.6]["valid/suggested_threshold"] == 0.6
    # nothing is right often enough: the closest copy
    hopeless = calibration(own, np.full(4, 0.95), 0.9)
    assert hopeless == {"valid/suggested_threshold": 0.9, "valid/precision": 0.2, "valid/recall": 0.25}


def test_precision_and_recall_by_hand_and_where_there_is_none():
    found, planted = np.array([True, True, True, False, False]), np.array([True, True, False, True, False])
    assert precision_and_recall(found, planted) == {"precision": 2 / 3, "recall": 2 / 3}
    nothing = np.zeros(5, bool)
    assert precision_and_recall(nothing, planted) == {"recall": 0.0}
    assert precision_and_recall(found, nothing) == {"precision": 0.0}
    assert precision_and_recall(nothing, nothing) == {}


def test_average_precision_by_hand():
    similarity, planted = np.array([0.9, 0.8, 0.7, 0.6]), np.array([True, False, True, False])
    assert average_precision(similarity, planted) == pytest.approx((1 + 2 / 3) / 2)
    assert average_precision(np.full(4, 0.5), planted) == 0.5  # all come in together
    with pytest.raises(ValueError, match="nothing to find"):
        average_precision(similarity, np.zeros(4, bool))


ROWS = st.lists(st.tuples(st.integers(0, 9), st.booleans()), min_size=1, max_size=20)


@given(ROWS.filter(lambda rows: any(planted for _, planted in rows)))
def test_average_precision_against_counting(rows):
    similarity, planted = np.array([row[0] for row in rows]), np.array([row[1] for row in rows])
    precisions = []
    for level, is_planted in rows:
        if is_planted:
            reached = [other for other in rows if other[0] >= level]
            precisions.append(sum(other[1] for other in reached) / len(reached))
    assert average_precision(similarity, planted) == pytest.approx(np.mean(precisions))
