import numpy as np
import pandas as pd
import pytest

from dalle.evaluation.clip_score import clip_score_rows
from dalle.evaluation.table import headline, validated


def test_mean_and_standard_error_for_every_number_of_candidates():
    scores = np.random.default_rng(0).normal(0.5, 0.1, (2, 40))
    ranking = pd.DataFrame({"candidates": np.repeat([1, 8], 40), "score": scores.ravel()})
    rows = clip_score_rows(ranking, domain="coco", model="dalle")
    validated(pd.DataFrame(rows), "rows")
    assert [(row["candidates"], row["num_samples"]) for row in rows] == [(1, 40), (8, 40)]
    for row, values in zip(rows, scores, strict=True):
        error = np.sqrt(np.sum((values - values.mean()) ** 2) / 39 / 40)
        assert (row["value"], row["low"], row["high"]) == pytest.approx((values.mean(), values.mean() - error, values.mean() + error))


def test_headline_names_models_numbers_and_splits():
    ranking = pd.DataFrame({"candidates": [1, 1, 8, 8], "score": [0.1, 0.3, 0.5, 0.7]})
    rows = clip_score_rows(ranking, domain="coco", model="dalle")
    rows.append({**rows[0], "model": "real", "value": 0.9})
    rows.append({**rows[1], "reference": "heldout", "value": 0.4})
    rows.append({**rows[1], "blur_radius": 2.0, "blur_kind": "pil", "value": 0.0})
    assert headline(rows) == pytest.approx(
        {
            "clip_score/dalle_best_of_1": 0.2,
            "clip_score/dalle_best_of_8": 0.6,
            "clip_score/dalle_best_of_8_heldout": 0.4,
            "clip_score/real": 0.9,
        }
    )
