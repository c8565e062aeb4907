"""Sheets are balanced whatever their size, the same for the same seed, and hide what is a check or comes again."""

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from small_sheets import captions_of, config, controls_of

from dalle.human_eval.pairs import balanced_sides, plan_sheets, spread


@given(num_pairs=st.integers(1, 60), raters=st.integers(1, 9), seed=st.integers(0, 2**32))
def test_sides_balance_within_every_sheet_and_over_every_pairs_raters(num_pairs, raters, seed):
    sides = balanced_sides(num_pairs, raters, np.random.default_rng(seed))
    assert (np.abs(2 * sides.sum(axis=0) - num_pairs) <= 1).all()
    assert (np.abs(2 * sides.sum(axis=1) - raters) <= 1).all()


def test_sides_are_drawn_and_not_a_fixed_pattern():
    """Two pairs of one sheet agree about as often as independent coins do; a pattern would make it always or never."""
    agree = [np.equal(*balanced_sides(12, 5, np.random.default_rng(seed))[[3, 8], 2]) for seed in range(400)]
    assert 0.35 < np.mean(agree) < 0.55
    left = [balanced_sides(12, 5, np.random.default_rng(seed))[3, 2] for seed in range(400)]
    assert 0.42 < np.mean(left) < 0.58


@given(data=st.data(), low=st.integers(0, 5), length=st.integers(0, 50), seed=st.integers(0, 2**32))
def test_spread_leaves_no_stretch_empty(data, low, length, seed):
    count = data.draw(st.integers(0, length))
    places = spread(low, low + length, count, np.random.default_rng(seed))
    assert len(places) == count and places == sorted(set(places))
    assert all(low + length * k // count <= place < low + length * (k + 1) // count for k, place in enumerate(places))


sheet_sizes = st.integers(2, 12).flatmap(
    lambda size: st.fixed_dictionaries(
        {
            "pairs_per_sheet": st.just(size),
            "repeats": st.integers(0, size // 4),
            "attention_checks": st.integers(0, size // 2),
            "raters": st.integers(1, 6),
        }
    )
)


@settings(deadline=None, max_examples=60)
@given(changes=sheet_sizes, extra=st.integers(0, 30), seed=st.integers(0, 1000))
def test_every_sheet_holds_its_batch_once_with_checks_and_repeats_in_their_places(changes, extra, seed):
    captions = captions_of(changes["pairs_per_sheet"] + extra)
    smallest = len(captions) // -(-len(captions) // changes["pairs_per_sheet"])
    assume(smallest >= max(2, 2 * changes["repeats"], changes["attention_checks"]))  # what is refused, as tested below
    settings_ = config(**changes)
    plans = plan_sheets(captions, controls_of(captions), settings_, seed)
    assert len({plan.sheet_id for plan in plans}) == len(plans)
    seen = {caption_id: [] for caption_id in captions["caption_id"]}
    for plan in plans:
        kinds = [pair.kind for pair in plan.pairs]
        compared = {pair.caption_id: pair for pair in plan.pairs if pair.kind == "pair"}
        assert kinds.count("pair") == len(compared) <= settings_.pairs_per_sheet
        left = sum(pair.left == "dalle" for pair in compared.values())
        assert abs(2 * left - len(compared)) <= 1
        assert kinds.count("repeat") == settings_.repeats and kinds[0] == "pair"
        assert sum(kind.startswith("attention") for kind in kinds) == settings_.attention_checks
        assert abs(kinds.count("attention_noise") - kinds.count("attention_caption")) <= 1
        for place, pair in enumerate(plan.pairs):
            if pair.kind == "repeat":
                first = compared[pair.caption_id]
                assert place - plan.pairs.index(first) >= 2
                assert (pair.left, pair.right) == (first.right, first.left)
            elif pair.kind != "pair":
                assert pair.caption_id not in compared and {pair.left, pair.right} & {"noise", "other"}
                assert pair.other_image_id not in {pair.image_id, *(other.image_id for other in compared.values())}
        for caption_id, pair in compared.items():
            seen[caption_id].append(pair.left == "dalle")
    assert all(len(sides) == settings_.raters and abs(2 * sum(sides) - len(sides)) <= 1 for sides in seen.values())


def test_a_function_of_the_seed():
    captions = captions_of(30)
    controls = controls_of(captions)
    assert plan_sheets(captions, controls, config(), 3) == plan_sheets(captions, controls, config(), 3)
    assert plan_sheets(captions, controls, config(), 3) != plan_sheets(captions, controls, config(), 4)


def test_raters_of_a_batch_see_it_in_orders_of_their_own():
    captions = captions_of(20)
    first, second = plan_sheets(captions, controls_of(captions), config(raters=2, pairs_per_sheet=20), 0)
    orders = [[pair.caption_id for pair in plan.pairs if pair.kind == "pair"] for plan in (first, second)]
    assert orders[0] != orders[1] and sorted(orders[0]) == sorted(orders[1]) == sorted(captions["caption_id"])


def test_the_other_picture_of_a_check_is_the_one_least_like_the_caption():
    captions = captions_of(10)
    controls = controls_of(captions, more=3)
    controls.loc[10:, "caption"] = ["a red bird", "a red bird on a branch", "two green ships"]
    plans = plan_sheets(captions, controls, config(raters=30, attention_checks=2), 0)
    others = {}
    for plan in plans:
        for pair in plan.pairs:
            if pair.kind == "attention_caption":
                others.setdefault(pair.caption, set()).add(pair.other_image_id)
    assert others["a red bird"] == others["a red bird on a branch"] == {"img5002"}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"rival": "dalle"}, "model and rival are both dalle"),
        ({"pairs_per_sheet": 1}, "pairs_per_sheet must be at least 2, got 1"),
        ({"raters": 0}, "raters must be at least 1"),
        ({"repeats": 6}, "repeats is 6: at most half of pairs_per_sheet, 10"),
        ({"attention_checks": 11}, "attention_checks is 11: more than pairs_per_sheet, 10"),
    ],
)
def test_a_plan_that_cannot_be(changes, message):
    with pytest.raises(ValueError, match=message):
        config(**changes)


def test_too_few_captions_or_controls_are_said():
    captions = captions_of(11)
    with pytest.raises(ValueError, match="11 captions make 2 batches, the smallest of 5: too few for 3 repeats"):
        plan_sheets(captions, controls_of(captions), config(repeats=3), 0)
    captions = captions_of(10)
    with pytest.raises(ValueError, match="2 attention checks a sheet need as many real pictures .* there are 2"):
        plan_sheets(captions, controls_of(captions, more=2), config(), 0)
