"""Intervals and agreement against statsmodels and krippendorff, and where these are silent against closed forms."""

import krippendorff
import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from statsmodels.stats.inter_rater import fleiss_kappa
from statsmodels.stats.proportion import proportion_confint

from dalle.human_eval.statistics import krippendorff_alpha, raw_agreement, vote_share, wilson

COUNTS = st.lists(st.tuples(*[st.integers(0, 5)] * 3), min_size=1, max_size=20).map(np.array)


def as_ratings(counts):
    """(raters, captions) of choices, missing votes as NaN, for krippendorff."""
    ratings = np.full((max(counts.sum(axis=1).max(), 1), len(counts)), np.nan)
    for caption, row in enumerate(counts):
        choices = np.repeat(np.arange(len(row)), row)
        ratings[: len(choices), caption] = choices
    return ratings


@given(st.integers(1, 2000).flatmap(lambda of: st.tuples(st.integers(0, of), st.just(of))))
def test_wilson_is_that_of_statsmodels(case):
    assert wilson(*case) == pytest.approx(proportion_confint(*case, method="wilson"), abs=1e-12)


def test_wilson_of_the_papers_majorities():
    assert wilson(900, 1000) == pytest.approx((0.87985, 0.91709), abs=1e-5)


@settings(deadline=None)
@given(COUNTS)
def test_alpha_is_that_of_krippendorff_also_where_votes_are_missing(counts):
    comparable = counts[counts.sum(axis=1) >= 2]
    assume(len(comparable) and (comparable.sum(axis=0) > 0).sum() > 1)
    expected = krippendorff.alpha(reliability_data=as_ratings(counts), level_of_measurement="nominal")
    assert krippendorff_alpha(counts) == pytest.approx(expected, abs=1e-12)


FIVE_VOTES = st.sampled_from([(5, 0, 0), (4, 1, 0), (2, 2, 1), (0, 0, 5), (1, 3, 1)])


@given(st.lists(FIVE_VOTES, min_size=2, max_size=40).map(np.array))
def test_agreement_is_what_fleiss_kappa_starts_from(counts):
    assume((counts.sum(axis=0) > 0).sum() > 1)
    chance = ((counts.sum(axis=0) / counts.sum()) ** 2).sum()
    assert (raw_agreement(counts) - chance) / (1 - chance) == pytest.approx(fleiss_kappa(counts), abs=1e-12)


def test_agreement_without_anything_to_agree_on():
    assert np.isnan(krippendorff_alpha(np.array([[5, 0, 0], [5, 0, 0]]))) and raw_agreement(np.array([[5, 0, 0]])) == 1
    assert np.isnan(krippendorff_alpha(np.array([[1, 0, 0]]))) and np.isnan(raw_agreement(np.array([[1, 0, 0]])))
    assert np.isnan(krippendorff_alpha(np.empty((0, 3), int)))


def test_interval_of_the_share_of_votes_covers_captions_not_votes():
    """Captions that are all of one mind: votes of one caption are no independent evidence, so the interval is sqrt(5) wider."""
    rng = np.random.default_rng(0)
    chosen, votes = 5 * (rng.random(400) < 0.7), np.full(400, 5)
    share, low, high = vote_share(chosen, votes, resamples=4000, seed=0, what="x")
    assert share == chosen.sum() / 2000
    half = 1.96 * np.sqrt(share * (1 - share) / 400)
    assert (high - low) / 2 == pytest.approx(half, rel=0.06)
    once, twice, other = (vote_share(chosen, votes, resamples=50, seed=0, what=what) for what in "xxy")
    assert once == twice != other
