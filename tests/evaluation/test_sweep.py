import json

import numpy as np
import pandas as pd
import pytest
from evaluation_protocols import small_protocol
from small_networks import RandomFeatures, Regions, pictures

from dalle.evaluation.blur import blur
from dalle.evaluation.fid import fid
from dalle.evaluation.inception_score import inception_score
from dalle.evaluation.kid import kid
from dalle.evaluation.overlap import planted_overlap
from dalle.evaluation.precision_recall import Manifold, precision_recall
from dalle.evaluation.subsets import subset_winners
from dalle.evaluation.sweep import Originals, Samples, sweep
from dalle.evaluation.table import COLUMNS, read_rows, write_rows

RADII = (0.0, 2.0, 8.0)


@pytest.fixture
def real(rng):
    return rng.integers(0, 256, (20, 64, 64, 3), dtype=np.uint8)


@pytest.fixture
def generated(rng):
    return (rng.integers(0, 256, (12, 64, 64, 3)) * rng.uniform(0.3, 1, (12, 1, 1, 3))).astype(np.uint8)


@pytest.fixture
def run(tmp_path, real):
    """sweep(...) over `real`, with what a test changes."""

    def run(*models, extractor=None, reference=real, overlapping=None, decoded=None, finished=tmp_path, seed=0, **changes):
        originals = Originals(images=reference, overlapping=overlapping, reconstructions=decoded)
        over = {"domain": "coco", "seed": seed, "finished": finished}
        return sweep(models, originals, extractor or Regions(), small_protocol(**changes), **over)

    return run


def values_of(rows, **over):
    return {
        (row["metric"], row["blur_radius"], row["candidates"]): row["value"]
        for row in rows
        if all(row[column] == value for column, value in over.items())
    }


def test_every_number_is_the_one_computed_step_by_step(run, real, generated):
    values, extractor = values_of(run(Samples.single("gan", generated))), Regions()
    for radius, pixels in ((0.0, 0), (2.0, 0.5), (8.0, 2.0)):
        (x, logits), (y, _) = extractor(blur(generated, "pil", pixels)), extractor(blur(real, "pil", pixels))
        assert values["fid", radius, 1] == pytest.approx(fid(x, y), rel=1e-12)
        assert values["inception_score", radius, 1] == inception_score(logits, splits=2)[0]
        assert values["kid", radius, 1] == kid(x, y, subsets=4, subset_size=6)[0]
        shares = precision_recall(Manifold(x, 2), Manifold(y, 2))
        assert (values["precision", radius, 1], values["recall", radius, 1]) == (shares[0].value, shares[1].value)
    assert len(values) == 15


def test_rows_say_what_they_are_over_and_come_back_from_their_file(run, generated, tmp_path):
    rows = run(Samples.single("gan", generated))
    write_rows(rows, tmp_path / "rows.csv")
    frame = read_rows(tmp_path / "rows.csv")
    assert list(frame.columns) == list(COLUMNS) and len(frame) == len(rows)
    over = {column: set(frame[column]) for column in list(COLUMNS)[:8]}
    assert over == {
        "domain": {"coco"},
        "model": {"gan"},
        "features": {"regions"},
        "blur_kind": {"pil"},
        "blur_radius": set(RADII),
        "reference": {"all"},
        "candidates": {1},
        "num_samples": {12},
    }
    assert ((frame["low"] <= frame["value"]) & (frame["value"] <= frame["high"]) & (frame["low"] < frame["high"])).all()
    again = pd.DataFrame(rows).sort_values(list(COLUMNS)[:9], kind="stable")
    found = frame.set_index(["metric", "blur_radius"])["value"].sort_index()
    np.testing.assert_allclose(found, again.set_index(["metric", "blur_radius"])["value"].sort_index(), rtol=1e-8)


def test_every_n_at_the_first_and_last_radius_and_the_largest_between(run, generated):
    winners = np.array([[0, 0, 7], [1, 5, 5], [2, 8, 9], [3, 3, 3], [4, 6, 6], [10, 10, 11]])
    none = np.empty((0, 6, 3), np.int64)
    model = Samples(model="dalle", images=generated, winners=winners, sweep=(1, 2, 4), subsets=none)
    values = values_of(run(model, kid_subset_size=4))
    expected = {}
    for column, n in enumerate((1, 2, 4)):
        single = values_of(run(Samples.single("dalle", generated[winners[:, column]]), kid_subset_size=4))
        chosen = {(metric, radius, n): value for (metric, radius, _), value in single.items()}
        expected |= {key: value for key, value in chosen.items() if key[1] != 2 or n == 4}
    assert values == pytest.approx(expected, rel=1e-9)


def test_reconstructions_are_a_model_and_at_both_ends_a_reference(run, real, generated):
    decoded = real // 2
    extractor = Regions()
    rows = run(Samples.single("gan", generated), decoded=decoded, extractor=extractor)
    assert extractor.num_seen == 1 + 3 * (len(real) + len(decoded) + len(generated))  # the model and the reference are one
    for radius, pixels in ((0.0, 0), (8.0, 2.0)):
        x, y = (Regions()(blur(images, "pil", pixels))[0] for images in (generated, decoded))
        value = values_of(rows, reference="reconstructions")["fid", radius, 1]
        assert value == pytest.approx(fid(x, y), rel=1e-9)
    assert {row["blur_radius"] for row in rows if row["reference"] == "reconstructions"} == {0.0, 8.0}
    assert {row["metric"] for row in rows if row["reference"] == "reconstructions"} == {"fid", "kid"}
    as_model = values_of(run(Samples.single("dvae", decoded[:12])))
    assert values_of(rows, model="dvae") == pytest.approx(as_model, rel=1e-9)
    assert {row["reference"] for row in rows if row["model"] == "dvae"} == {"all"}
    other = values_of(run(Samples.single("gan", generated), decoded=decoded // 2), reference="reconstructions")
    assert other["fid", 0.0, 1] != values_of(rows, reference="reconstructions")["fid", 0.0, 1]  # nothing stale
    with pytest.raises(ValueError, match="two models have one name: dvae, dvae"):
        run(Samples.single("dvae", generated), decoded=decoded)


def test_kid_is_as_certain_as_its_independent_subsets_allow(run, real, generated):
    (row,) = [row for row in run(Samples.single("m", generated), blur_radii=(0.0,)) if row["metric"] == "kid"]
    _, between = kid(Regions()(generated)[0], Regions()(real)[0], subsets=4, subset_size=6)
    assert row["high"] - row["value"] == pytest.approx(between / np.sqrt(12 / 6))


def test_features_are_taken_once_radius_by_radius(run, real, generated):
    extractor = Regions()
    run(Samples.single("one", generated), Samples.single("two", generated), extractor=extractor)
    probe = 1  # one image tells the network
    assert extractor.num_seen == probe + 3 * (len(real) + 2 * len(generated))
    winners = np.tile(np.arange(6)[:, None], (1, 9))  # every caption keeps its winner for all nine N
    sweep_of = {"winners": winners, "sweep": tuple(2**i for i in range(9)), "subsets": np.stack([winners, winners])}
    extractor = Regions()
    run(Samples(model="m", images=generated, **sweep_of), extractor=extractor, kid_subset_size=4)
    assert extractor.num_seen == probe + 3 * (len(real) + 6)


def test_the_curve_over_subsets_is_their_mean_and_spread(run, real, rng):
    pool = rng.integers(0, 256, (10, 4, 64, 64, 3), dtype=np.uint8)
    scores = rng.normal(size=(10, 4))
    rows = np.arange(10)[:, None] * 4 + subset_winners(scores, (1, 2, 4), num_subsets=3, seed=0)
    images = pool.reshape(-1, 64, 64, 3)
    model = Samples(model="dalle", images=images, winners=rows[0], sweep=(1, 2, 4), subsets=rows)
    found = {(row["metric"], row["candidates"]): row for row in run(model) if row["metric"].endswith("over_subsets")}
    y = Regions()(real)[0]
    for column, n in enumerate((1, 2, 4)):
        each = [fid(Regions()(images[part[:, column]])[0], y) for part in rows]
        row = found["fid_over_subsets", n]
        assert row["value"] == pytest.approx(np.mean(each)) and row["high"] - row["value"] == pytest.approx(np.std(each, ddof=1))
    assert {metric for metric, _ in found} == {f"{name}_over_subsets" for name in ("fid", "kid", "inception_score")}
    assert found["fid_over_subsets", 1]["high"] > found["fid_over_subsets", 1]["low"]


def test_without_the_overlap_the_reference_is_smaller_and_the_rest_the_same(run, real, generated):
    overlapping = planted_overlap(["coco:3", "", "cub:5", "coco:7"], "coco", [str(index) for index in range(20)])
    extractor = Regions()
    rows = run(Samples.single("gan", generated), overlapping=overlapping, extractor=extractor)
    assert extractor.num_seen == 1 + 3 * (20 + 12)  # nothing is taken twice
    kept = np.delete(real, [3, 7], axis=0)
    for radius, pixels in ((0.0, 0), (8.0, 2.0)):
        x, y = Regions()(blur(generated, "pil", pixels))[0], Regions()(blur(kept, "pil", pixels))[0]
        assert values_of(rows, reference="no_overlap")["fid", radius, 1] == pytest.approx(fid(x, y), rel=1e-12)
    assert values_of(rows, reference="all") == values_of(run(Samples.single("gan", generated)))
    assert {row["metric"] for row in rows if row["reference"] == "no_overlap"} == {"fid", "kid", "precision", "recall"}


@pytest.mark.parametrize("kind", ["pil", "gaussian", "lafite"])
def test_blurring_both_sides_is_no_further_than_blurring_the_originals_alone(run, rng, kind):
    samples = Samples.single("m", rng.integers(0, 256, (12, 64, 64, 3), dtype=np.uint8))  # drawn as the reference is
    both = values_of(run(samples, blur_kind=kind))
    one = values_of(run(samples, blur_kind=f"{kind}_originals_only"))
    assert both["fid", 0.0, 1] == one["fid", 0.0, 1]
    for radius in RADII[1:]:
        assert both["fid", radius, 1] < one["fid", radius, 1]


def test_batch_size_order_and_shards_do_not_matter(run, tmp_path, monkeypatch):
    reference, samples = pictures(60, 0, 64), pictures(40, 1, 64)
    over = {"inception_splits": 1}  # more splits, and KID's subsets, are drawn by place

    def fids(samples, reference, batch_size, finished=tmp_path):
        model, extractor = Samples.single("m", samples), RandomFeatures(batch_size)
        rows = run(model, reference=reference, extractor=extractor, finished=finished / str(batch_size), **over)
        return [row["value"] for row in rows if row["metric"] != "kid"]

    expected = fids(samples, reference, 32)
    order = np.random.default_rng(0).permutation(40)
    assert fids(samples, reference, 7) == pytest.approx(expected, rel=1e-5)
    assert fids(samples[order], reference[::-1].copy(), 32) == pytest.approx(expected, rel=1e-5)
    monkeypatch.setattr("dalle.evaluation.sweep.CHUNK", 13)  # images read and blurred a shard at a time
    assert fids(samples, reference, 32, tmp_path / "shards") == pytest.approx(expected, rel=1e-5)


def test_a_set_against_itself_is_at_zero(run, real):
    values = values_of(run(Samples.single("same", real)))
    assert values["fid", 0.0, 1] == pytest.approx(0, abs=1e-9)
    assert values["precision", 0.0, 1] == values["recall", 0.0, 1] == 1


def test_a_killed_sweep_goes_on_after_the_last_finished_radius(run, real, generated, tmp_path):
    models = [Samples.single("one", generated), Samples.single("two", generated[::-1].copy())]
    with pytest.raises(KeyboardInterrupt):
        run(*models, extractor=Regions(fails_at=1 + 3 + 3 + 2))  # the probe, two radii, into the third
    extractor = Regions()
    resumed = run(*models, extractor=extractor)
    assert extractor.num_seen == 1 + len(real) + 2 * len(generated)
    assert json.dumps(resumed) == json.dumps(run(*models, finished=tmp_path / "fresh"))


def test_nothing_stale_is_taken_for_what_is_asked(run, real, generated, tmp_path):
    """torch-fidelity's cache goes by a name: another radius under it gives the old radius's number."""
    samples = Samples.single("gan", generated)
    first = values_of(run(samples, blur_radii=(0.0, 2.0)))
    other = values_of(run(samples, blur_radii=(0.0, 8.0)))
    assert other["fid", 8.0, 1] != first["fid", 2.0, 1]
    for changed in (
        {"reference": real[::-1].copy() // 2},
        {"blur_kind": "gaussian"},
        {"blur_reference_size": 128},
        {"extractor": RandomFeatures()},
    ):
        elsewhere = tmp_path / next(iter(changed))
        again, fresh = (run(samples, blur_radii=(0.0, 2.0), finished=place, **changed) for place in (tmp_path, elsewhere))
        assert again == fresh and values_of(again, reference="all") != first
    brighter = values_of(run(Samples.single("gan", generated // 2), blur_radii=(0.0, 2.0)))
    assert brighter["fid", 2.0, 1] != first["fid", 2.0, 1]


def test_models_of_unequal_numbers_are_not_compared(run, generated):
    with pytest.raises(ValueError, match=r"different numbers of images \(one 12, two 9\), and FID falls with them"):
        run(Samples.single("one", generated), Samples.single("two", generated[:9]))
    with pytest.raises(ValueError, match="two models have one name: one, one"):
        run(Samples.single("one", generated), Samples.single("one", generated))


@pytest.mark.parametrize(
    ("changes", "number", "message"),
    [
        ({}, 1, "at least 2 images on each side, got 1 and 20"),
        ({"inception_splits": 13}, 12, "inception_splits must be at most 12, got 13; there are 12 samples and 20 reference"),
        ({"kid_subset_size": 13}, 12, "kid_subset_size must be at most 12, got 13"),
        ({"neighbourhood": 12}, 12, "neighbourhood must be at most 11, got 12"),
        ({"fid_infinity": True}, 9, "fid_infinity needs at least 10 images; there are 9 samples"),
        ({"overlapping": np.arange(20) < 16}, 12, "kid_subset_size must be at most 4, got 6; there are 12 samples and 4"),
    ],
)
def test_too_few_images_are_refused_before_any_features(run, generated, changes, number, message):
    extractor = Regions()
    with pytest.raises(ValueError, match=message):
        run(Samples.single("m", generated[:number]), extractor=extractor, **changes)
    assert extractor.num_calls == 0


def test_another_picture_size_is_refused(run):
    small = np.zeros((4, 32, 32, 3), np.uint8)
    with pytest.raises(ValueError, match=r"samples of m are \(32, 32, 3\) and the reference is \(64, 64, 3\)"):
        run(Samples.single("m", small))


def test_fid_at_infinity_is_a_row_where_it_is_asked_for(run, generated):
    rows = run(Samples.single("m", generated), fid_infinity=True, blur_radii=(0.0,))
    (row,) = [row for row in rows if row["metric"] == "fid_infinity"]
    assert row["low"] < row["value"] < row["high"] and row["num_samples"] == 12


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"features": "lite"}, "features: 'lite' is not known; known: lite0, inception, dmgan, clip"),
        ({"features": "inception"}, "inception needs the file weights-inception-2015-12-05-6726825d.pth"),
        ({"weights": "a.pth"}, "weights and weights_sha256 must be null for features lite0"),
        ({"blur_kind": "box"}, "blur_kind: 'box' is not known"),
        ({"blur_radii": (1.0, 2.0)}, "blur_radii must rise from 0"),
        ({"blur_radii": (0.0, 2.0, 1.0)}, "blur_radii must rise from 0"),
        ({"blur_radii": ()}, "blur_radii must rise from 0"),
        ({"kid_subset_size": 1}, "kid_subset_size must be at least 2, got 1"),
        ({"neighbourhood": 0}, "neighbourhood must be at least 1, got 0"),
        ({"bootstrap": 0}, "bootstrap must be at least 2, got 0"),
    ],
)
def test_the_protocol_names_the_rule(changes, message):
    with pytest.raises(ValueError, match=message):
        small_protocol(**changes)
