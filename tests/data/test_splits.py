import numpy as np
import pytest

from dalle.data.splits import assign_split


def test_the_split_of_an_image_does_not_depend_on_the_others():
    ids = [f"00000/{index:08d}" for index in range(5000)]
    splits = assign_split(ids, 0.1, seed=3)
    assert (assign_split(ids[::-1], 0.1, seed=3)[::-1] == splits).all()
    assert assign_split(ids[17:18], 0.1, seed=3)[0] == splits[17]
    # more validation data keeps what was validation data
    assert (assign_split(ids, 0.2, seed=3)[splits == "valid"] == "valid").all()
    # binomial: 500 +- 21
    assert abs((splits == "valid").sum() - 500) < 100
    assert (assign_split(ids, 0.1, seed=4) != splits).any()
    assert set(np.unique(assign_split(ids, 0.0, seed=3))) == {"train"}


def test_a_fraction_outside_its_range_is_refused():
    with pytest.raises(ValueError, match="valid_fraction must be at least 0 and below 1"):
        assign_split(["a"], 1.0, seed=0)
