import json

import numpy as np
import pytest

from dalle.evaluation.overlap import planted_overlap, read_overlap

IDS = ["500001", "500002", "500003", "500004"]


def test_a_file_lists_the_reference_images_seen_in_training(tmp_path):
    (tmp_path / "coco.json").write_text(json.dumps({"image_ids": ["500003", 500001], "threshold": 0.9}))
    np.testing.assert_array_equal(read_overlap(tmp_path / "coco.json", IDS), [True, False, True, False])


def test_a_list_of_another_data_set_is_refused(tmp_path):
    (tmp_path / "coco.json").write_text(json.dumps({"image_ids": ["500003", "7"]}))
    with pytest.raises(ValueError, match=r"coco\.json: image_ids 7 are not in the reference"):
        read_overlap(tmp_path / "coco.json", IDS)


@pytest.mark.parametrize("text", ["{}", "[1]", "not json", '{"image_ids": 3}'])
def test_something_else_is_refused(tmp_path, text):
    (tmp_path / "coco.json").write_text(text)
    with pytest.raises(ValueError, match=r"coco\.json: expected JSON with a list"):
        read_overlap(tmp_path / "coco.json", IDS)


def test_the_planted_truth_of_one_domain():
    leaks = ["", "coco:500002", "cub:500001", "coco:500002", "coco:500004"]
    np.testing.assert_array_equal(planted_overlap(leaks, "coco", IDS), [False, True, False, True])
