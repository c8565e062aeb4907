from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from dalle.evaluation.blur import blur
from dalle.evaluation.fid import fid
from dalle.evaluation.inception_score import inception_score
from dalle.evaluation.kid import kid
from dalle.evaluation.sweep import EvaluateConfig, ReferenceSet, evaluate_model, evaluate_reranked
from dalle.evaluation.table import COLUMNS, write_rows

CONFIG = EvaluateConfig(
    features="lite0",
    blur_kind="pil",
    blur_radii=(0.0, 2.0, 8.0),
    blur_reference_size=256,
    inception_splits=2,
    kid_subsets=4,
    kid_subset_size=6,
    bootstrap=4,
)


class CountingExtractor:
    """Stands for a network: average colours of four regions as features, and remembers how many images it saw."""

    name = "regions"

    def __init__(self):
        self.num_seen = 0

    def __call__(self, images):
        self.num_seen += len(images)
        n, h, w, _ = images.shape
        features = images.reshape(n, 2, h // 2, 2, w // 2, 3).std(axis=(2, 4)).reshape(n, -1).astype(np.float32)
        return features, features[:, :5] / 10


@pytest.fixture
def extractor():
    return CountingExtractor()


@pytest.fixture
def real(rng):
    return rng.integers(0, 256, (20, 64, 64, 3), dtype=np.uint8)


@pytest.fixture
def generated(rng):
    return (rng.integers(0, 256, (12, 64, 64, 3)) * rng.uniform(0.3, 1, (12, 1, 1, 3))).astype(np.uint8)


def test_every_number_is_the_one_computed_step_by_step(extractor, real, generated):
    rows = evaluate_model(generated, ReferenceSet(real, extractor, CONFIG), domain="coco", model="gan", candidates=1, seed=0)
    values = {(row["metric"], row["blur_radius"]): row["value"] for row in rows}
    for radius, pixels in ((0.0, 0), (2.0, 0.5), (8.0, 2.0)):
        (x, logits), (y, _) = extractor(blur(generated, "pil", pixels)), extractor(blur(real, "pil", pixels))
        assert values["fid", radius] == pytest.approx(fid(x, y), rel=1e-12)
        assert values["inception_score", radius] == inception_score(logits, splits=2)[0]
        assert values["kid", radius] == kid(x, y, subsets=4, subset_size=6)[0]
    assert len(rows) == 9


def test_rows_say_what_they_are_over(extractor, real, generated):
    rows = evaluate_model(generated, ReferenceSet(real, extractor, CONFIG), domain="cub", model="gan", candidates=3, seed=0)
    assert all(list(row) == list(COLUMNS) for row in rows)
    over = {column: {row[column] for row in rows} for column in list(COLUMNS)[:8]}
    assert over == {
        "domain": {"cub"},
        "model": {"gan"},
        "features": {"regions"},
        "blur_kind": {"pil"},
        "blur_radius": {0.0, 2.0, 8.0},
        "reference": {"all"},
        "candidates": {3},
        "num_samples": {12},
    }
    assert all(row["low"] < row["value"] < row["high"] for row in rows)


def test_reranking_gathers_winners_and_blurs_the_largest_n_only(extractor, real, generated, tmp_path):
    winners = np.array([[0, 0, 7], [1, 5, 5], [2, 8, 9], [3, 3, 3], [4, 6, 6], [10, 10, 11]])
    config = replace(CONFIG, kid_subset_size=4)
    reference, over = ReferenceSet(real, extractor, config), {"domain": "coco", "model": "dalle", "seed": 0}
    rows = evaluate_reranked(generated, winners, (1, 2, 4), reference, **over)
    expected = [
        row
        for column, n in enumerate((1, 2, 4))
        for row in evaluate_model(generated[winners[:, column]], reference, candidates=n, **over)
        if row["blur_radius"] == 0 or n == 4
    ]
    write_rows(rows, tmp_path / "rows.csv")
    write_rows(expected, tmp_path / "expected.csv")
    assert (tmp_path / "rows.csv").read_bytes() == (tmp_path / "expected.csv").read_bytes()


def test_features_are_taken_once(extractor, real, generated):
    reference = ReferenceSet(real, extractor, CONFIG)
    for model in ("one", "two"):
        evaluate_model(generated, reference, domain="coco", model=model, candidates=1, seed=0)
    assert extractor.num_seen == 3 * len(real) + 2 * 3 * len(generated)
    extractor.num_seen = 0
    winners = np.tile(np.arange(6)[:, None], (1, 9))  # every caption keeps its winner for all nine N
    reference = ReferenceSet(real, extractor, replace(CONFIG, kid_subset_size=4))
    evaluate_reranked(generated, winners, tuple(2**i for i in range(9)), reference, domain="c", model="m", seed=0)
    assert extractor.num_seen == 3 * len(real) + 3 * 6


def test_with_the_real_network_blurred_pictures_are_further_from_sharp_ones(lite0, real):
    reference = ReferenceSet(real, lite0, replace(CONFIG, blur_radii=(0.0,), kid_subset_size=8))
    rows = []
    for model, images in {"same": real, "blurred": blur(real, "pil", 1.0)}.items():
        rows += evaluate_model(images, reference, domain="c", model=model, candidates=1, seed=0)
    values = pd.DataFrame(rows).pivot(index="metric", columns="model", values="value")
    assert values.loc["fid", "same"] == pytest.approx(0, abs=1e-3)
    assert values.loc["fid", "blurred"] > 1
    assert values.loc["kid", "blurred"] > values.loc["kid", "same"]


def test_another_picture_size_is_refused(extractor, real):
    small = np.zeros((4, 32, 32, 3), np.uint8)
    with pytest.raises(ValueError, match=r"samples are \(32, 32, 3\) and the reference is \(64, 64, 3\)"):
        evaluate_model(small, ReferenceSet(real, extractor, CONFIG), domain="c", model="m", candidates=1, seed=0)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"features": "lite"}, "features: 'lite' is not known; known: lite0"),
        ({"blur_kind": "box"}, "blur_kind: 'box' is not known"),
        ({"blur_radii": (1.0, 2.0)}, "blur_radii must rise from 0"),
        ({"blur_radii": (0.0, 2.0, 1.0)}, "blur_radii must rise from 0"),
        ({"blur_radii": ()}, "blur_radii must rise from 0"),
        ({"kid_subset_size": 1}, "kid_subset_size must be at least 2, got 1"),
        ({"bootstrap": 0}, "bootstrap must be at least 2, got 0"),
    ],
)
def test_config_names_the_rule(changes, message):
    with pytest.raises(ValueError, match=message):
        replace(CONFIG, **changes)
