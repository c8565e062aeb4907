import numpy as np
import pandas as pd
import pytest

from dalle.evaluation.table import COLUMNS, read_rows, write_rows


def row(**changes):
    values = {
        "domain": "coco",
        "model": "dalle",
        "features": "lite0",
        "blur_kind": "pil",
        "blur_radius": 0.0,
        "reference": "all",
        "candidates": 1,
        "num_samples": 100,
        "metric": "fid",
        "value": 12.345678901234,
        "low": 11.0,
        "high": 13.0,
    }
    return {**values, **changes}


def test_columns_are_the_agreed_ones():
    agreed = "domain, model, features, blur_kind, blur_radius, reference, candidates, num_samples, metric, value, low, high"
    assert ", ".join(COLUMNS) == agreed


def test_comes_back_sorted_and_with_its_types(tmp_path):
    path = tmp_path / "new" / "evaluate.csv"
    rows = [row(candidates=16), row(candidates=2), row(blur_radius=8), row(model="null", value=1, low=float("nan"))]
    write_rows(rows, path)
    frame = read_rows(path)
    assert frame[["model", "blur_radius", "candidates"]].values.tolist() == [
        ["dalle", 0.0, 2],
        ["dalle", 0.0, 16],
        ["dalle", 8.0, 1],
        ["null", 0.0, 1],
    ]
    assert frame.value.tolist() == [12.3456789, 12.3456789, 12.3456789, 1.0]
    assert np.isnan(frame.low.iloc[3])
    assert frame.candidates.dtype == np.int64


def test_the_order_of_rows_leaves_no_trace(tmp_path):
    rows = [row(metric=metric, candidates=n) for metric in ("kid", "fid") for n in (4, 1)]
    write_rows(rows, tmp_path / "a.csv")
    write_rows(rows[::-1], tmp_path / "b.csv")
    assert (tmp_path / "a.csv").read_bytes() == (tmp_path / "b.csv").read_bytes()


def test_two_numbers_for_one_thing_are_refused_and_nothing_is_written(tmp_path):
    with pytest.raises(ValueError, match="two rows over the same thing"):
        write_rows([row(), row(value=3.0)], tmp_path / "a.csv")
    assert not list(tmp_path.iterdir())


def test_wrong_columns_are_named_with_the_file(tmp_path):
    path = tmp_path / "a.csv"
    pd.DataFrame([row()]).drop(columns="low").assign(extra=1).to_csv(path, index=False)
    with pytest.raises(ValueError, match=r"a\.csv: missing columns \['low'\], unknown columns \['extra'\]"):
        read_rows(path)
    pd.DataFrame([row(value="much")]).to_csv(path, index=False)
    with pytest.raises(ValueError, match=r"a\.csv: a column is not of its type"):
        read_rows(path)
