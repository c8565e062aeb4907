import json

import numpy as np
import pandas as pd
import pytest

from dalle.evaluation.overlap import read_overlap
from dalle.overlap.found import nearest_table, overlap_of, read_found, read_table, write_found, write_table
from dalle.overlap.search import Nearest

IDS, PAIRS = pd.Series(["11", "012", "13", "14"]), pd.Series(["p0", "p1", "p2"])
NEAREST = Nearest(np.array([2, 0, 1, 1]), np.array([0.5, 0.9, 0.9, 0.123456789]), np.array([False, True, False, False]))


def table():
    return nearest_table(IDS, PAIRS, NEAREST)


def test_every_image_closest_first_and_equals_in_their_order(tmp_path):
    found = table()
    assert found["image_id"].tolist() == ["012", "13", "11", "14"]
    assert found["nearest"].tolist() == ["p0", "p1", "p2", "p1"]
    assert found["mirrored"].tolist() == [True, False, False, False]
    write_table(found, tmp_path / "coco.csv")
    pd.testing.assert_frame_equal(read_table(tmp_path / "coco.csv"), found, check_dtype=False)
    assert [path.name for path in tmp_path.iterdir()] == ["coco.csv"]


@pytest.mark.parametrize(("threshold", "seen"), [(0.91, []), (0.9, ["012", "13"]), (0.123457, ["012", "13", "11", "14"])])
def test_the_threshold_itself_is_near_enough_and_the_evaluation_reads_the_list(tmp_path, threshold, seen):
    found = overlap_of(table(), threshold, 3)
    assert found.image_ids == seen and found.rate == len(seen) / 4
    write_found(found, tmp_path / "coco.json")
    assert read_found(tmp_path / "coco.json") == found
    assert json.loads((tmp_path / "coco.json").read_text())["rate"] == found.rate
    np.testing.assert_array_equal(read_overlap(tmp_path / "coco.json", IDS.tolist()), IDS.isin(seen))


@pytest.mark.parametrize("text", ["", "[]", '{"image_ids": ["1"]}', '{"image_ids": 3, "threshold": 0.9}', "no json"])
def test_a_list_that_is_something_else_is_named(tmp_path, text):
    (tmp_path / "coco.json").write_text(text)
    with pytest.raises(ValueError, match=r"coco\.json: not what find_overlap writes"):
        read_found(tmp_path / "coco.json")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("image_id,similarity\n1,0.5\n", "expected the columns image_id, nearest, similarity, mirrored"),
        ("image_id,nearest,similarity,mirrored\n1,p,near,False\n", "similarity must be numbers"),
        ("image_id,nearest,similarity,mirrored\n1,p,0.5,False\n2,p,0.6,False\n", "that fall from row to row"),
    ],
)
def test_a_table_that_is_something_else_is_named(tmp_path, text, words):
    (tmp_path / "coco.csv").write_text(text)
    with pytest.raises(ValueError, match=rf"coco\.csv: .*{words}"):
        read_table(tmp_path / "coco.csv")
