"""Simulated raters: what they prefer follows what they see, the careless are found, and the same seed is the same bytes."""

from dataclasses import replace

import numpy as np
import pytest
from voted_sheets import RULES, small_key

from dalle.evaluation.precision_recall import Manifold
from dalle.human_eval.checks import check_votes
from dalle.human_eval.perception import see_pictures, see_real
from dalle.human_eval.realism import realism_scores
from dalle.human_eval.simulated import Seen, SimulatedRaters, simulate_votes, unreadable_captions, write_votes
from dalle.human_eval.tally import caption_table, vote_metrics
from dalle.human_eval.votes import COLUMNS, read_votes

SHARP = SimulatedRaters(realism_noise=0, misread=0, neither=1, side_bias=0, careless=0, neighbourhood=3)
NOISY = SimulatedRaters(realism_noise=0.7, misread=0.1, neither=0.5, side_bias=0.1, careless=1, neighbourhood=3)


def pictures_of(key, ours=(1.0, True), rival=(-1.0, True)):
    ids = key["caption_id"].unique()
    seen = {("real", caption_id): Seen(2.0, True) for caption_id in ids}
    seen |= {("dalle", caption_id): Seen(*ours) for caption_id in ids}
    return seen | {("dfgan", caption_id): Seen(*rival) for caption_id in ids}


def voted(tmp_path, key, config, seed=0, **pictures):
    write_votes(simulate_votes(key, pictures_of(key, **pictures), config, seed), tmp_path / "simulated")
    votes = read_votes(tmp_path / "simulated")
    return check_votes(votes, key, RULES, 5)


@pytest.mark.parametrize(
    ("ours", "rival", "realism", "match"),
    [
        ((1.0, True), (-1.0, False), "ours", "ours"),
        ((1.0, False), (-1.0, True), "ours", "rival"),
        ((-1.0, True), (1.0, True), "rival", "rival"),  # both show it: the more realistic one
        ((1.0, False), (-1.0, False), "ours", "neither"),
        ((1.0, None), (-1.0, None), "ours", "ours"),  # the reader cannot read the caption
    ],
)
def test_without_noise_raters_prefer_what_they_see(tmp_path, ours, rival, realism, match):
    key = small_key()
    found = voted(tmp_path, key, SHARP, ours=ours, rival=rival)
    captions = caption_table(found, key, RULES, model="dalle", rival="dfgan")
    assert (captions[captions["question"] == "realism"]["majority"] == realism).all()
    assert (captions[captions["question"] == "match"]["majority"] == match).all()
    metrics = vote_metrics(found, captions, key, RULES, raters=5, resamples=10, seed=0)
    assert metrics["attention/right"] == metrics["repeats/consistent"] == 1 and metrics["votes/dropped"] == 0


def test_a_careless_rater_is_found_and_somebody_else_had_the_sheet(tmp_path):
    key = small_key(num_batches=3, pairs=8)
    found = voted(tmp_path, key, NOISY)
    careless = found["rater_id"].str.endswith("-careless")
    assert careless.sum() == 2 * 12 - 2 and (found[careless]["outcome"] != "counted").all()
    assert set(found[careless]["outcome"]) <= {"too_fast", "failed_attention"}
    captions = caption_table(found, key, RULES, model="dalle", rival="dfgan")
    assert (captions["votes"] == 5).all()
    (sheet,) = found[careless]["sheet_id"].unique()
    assert found[~careless & (found["sheet_id"] == sheet)]["rater_id"].unique().tolist() == [f"simulated-{sheet}"]


def test_noise_and_errors_spread_the_votes_and_raters_are_not_alike(tmp_path):
    key = small_key(num_batches=4, pairs=10)
    found = voted(tmp_path, key, replace(NOISY, careless=0), ours=(0.2, True), rival=(-0.2, False))
    captions = caption_table(found, key, RULES, model="dalle", rival="dfgan")
    metrics = vote_metrics(found, captions, key, RULES, raters=5, resamples=10, seed=0)
    # 0.4 deviations at a noise of 0.7: about 72 %; the caption misread on one side: 1 - 0.1 - ..., about 86 %
    assert 0.6 < metrics["realism/votes_ours"] < 0.84 and 0.78 < metrics["match/votes_ours"] < 0.94
    assert captions["ours"].nunique() > 3 and -0.1 < metrics["realism/alpha"] < 0.3  # no caption is clearer than another
    assert 0.4 < metrics["repeats/consistent"] < 1 and metrics["attention/right"] > 0.8


def test_files_are_as_the_page_exports_them_and_the_same_for_the_same_seed(tmp_path):
    key, texts = small_key(), {}
    for name, seed in (("once", 0), ("twice", 0), ("other", 1)):
        write_votes(simulate_votes(key, pictures_of(key), NOISY, seed), tmp_path / name)
        texts[name] = [file.read_bytes() for file in sorted((tmp_path / name).iterdir())]
    assert texts["once"] == texts["twice"] != texts["other"]
    first = texts["once"][0].decode().split("\r\n")
    assert first[0] == ",".join(COLUMNS) and first[-1] == "" and len(first) == 2 + 2 * 6
    assert first[1].split(",")[-1].endswith("Z") and first[1].split(",")[1].startswith("simulated-")


def test_captions_that_cannot_be_read_are_counted():
    key = small_key(pairs=4)
    seen = pictures_of(key)
    assert unreadable_captions(key, seen, "dalle") == 0
    assert unreadable_captions(key, seen | {("dalle", "10"): Seen(0.0, None)}, "dalle") == 1


def test_realism_is_the_published_score_of_a_slow_loop():
    rng = np.random.default_rng(0)
    real, others = rng.normal(size=(40, 5)), rng.normal(size=(7, 5)) * 1.5
    distances = np.linalg.norm(real[:, None] - real[None], axis=2)
    reach = np.sort(distances, axis=1)[:, 3]
    expected = []
    for other in others:
        kept = [index for index in range(40) if reach[index] <= np.median(reach)]
        expected.append(max(reach[index] / np.linalg.norm(other - real[index]) for index in kept))
    assert realism_scores(others, Manifold(real, 3)) == pytest.approx(np.log(expected))
    assert np.isfinite(realism_scores(real, Manifold(real, 3))).all()


def test_pictures_are_seen_under_their_own_caption_and_the_reference_looks_real():
    """Features are the mean colour: models near the grey reference look real, and flat pictures show no scene."""
    reference = np.random.default_rng(0).integers(120, 136, (20, 8, 8, 3)).astype(np.uint8)
    near, far = (np.full((2, 32, 32, 3), level, np.uint8) for level in (128, 250))

    def mean_colour(images):
        return images.mean(axis=(1, 2)).astype(np.float32), None

    captions = ("a red circle", "this bird has a yellow belly")
    models = {"dalle": near, "dfgan": far}
    seen = see_pictures(models, ("1", "2"), captions, reference, mean_colour, 3)
    assert set(seen) == {(name, caption_id) for name in ("dalle", "dfgan") for caption_id in ("1", "2")}
    seen |= see_real(near, ("1", "2"), captions)
    assert seen["dalle", "1"].realism > seen["dfgan", "1"].realism
    assert [seen[name, "1"].shows for name in ("dalle", "real")] == [False, False]
    assert [seen[name, "2"].shows for name in ("dalle", "real")] == [None, True]


@pytest.mark.parametrize(
    ("change", "said"), [({"misread": 1.1}, "misread must be"), ({"careless": -1}, "careless"), ({"neighbourhood": 0}, "neighb")]
)
def test_raters_that_cannot_be_are_named(change, said):
    with pytest.raises(ValueError, match=said):
        replace(NOISY, **change)
