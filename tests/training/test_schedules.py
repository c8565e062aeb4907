import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dalle.training.schedules import PlateauHalving, PlateauRule, Schedule


def schedule(shape="cosine", start=2.0, end=0.5, updates=100, warmup_updates=0):
    return Schedule(shape=shape, start=start, end=end, updates=updates, warmup_updates=warmup_updates)


@pytest.mark.parametrize("shape", ["cosine", "linear"])
@pytest.mark.parametrize("start, end", [(2.0, 0.5), (0.0, 6.6)])
def test_ends_and_middle(shape, start, end):
    values = schedule(shape, start, end)
    assert values.at(0) == start
    assert values.at(50) == pytest.approx((start + end) / 2)
    assert values.at(100) == values.at(101) == values.at(10**9) == pytest.approx(end)


@pytest.mark.parametrize("shape", ["cosine", "linear"])
@pytest.mark.parametrize("clock", [1.0, 4.0, 0.5])
def test_a_clock_runs_through_the_same_values_faster(shape, clock):
    values = schedule(shape, updates=400, warmup_updates=40)
    faster = values.faster(clock)
    assert faster.updates == 400 / clock and faster.at(10**6) == values.at(10**6)
    for step in (60, 120, 200, 396):  # of the faster one's warm-up only the last value is the same
        assert faster.at(int(step / clock)) == pytest.approx(values.at(step))
    assert faster.at(faster.warmup_updates) == values.at(40)


def test_a_schedule_can_become_a_step_but_not_nothing():
    assert schedule(updates=10, warmup_updates=5).faster(1000).updates == 1
    assert schedule(updates=10, warmup_updates=5).faster(1000).warmup_updates == 0


def test_a_quarter_of_the_way():
    assert schedule("linear", 4.0, 0.0).at(25) == pytest.approx(3.0)
    assert schedule("cosine", 4.0, 0.0).at(25) == pytest.approx(4 * (1 + math.cos(math.pi / 4)) / 2)


def test_the_paper_s_step_size():
    """1e-4 -> 1.25e-6 over 1,200,000 of 3,000,000 updates, v1 + (v0 - v1) (1 + cos(pi t / T)) / 2."""
    rate = schedule("cosine", 1e-4, 1.25e-6, 1_200_000)
    assert rate.at(300_000) == pytest.approx(1.25e-6 + (1e-4 - 1.25e-6) * (1 + math.cos(math.pi / 4)) / 2)
    assert rate.at(2_999_999) == pytest.approx(1.25e-6)


def test_warm_up_ramps_to_the_start_and_the_end_stays_where_it_was():
    warm = schedule("linear", 1.0, 0.0, updates=14, warmup_updates=4)
    assert [warm.at(step) for step in range(4)] == pytest.approx([0.25, 0.5, 0.75, 1.0])
    assert [warm.at(step) for step in (4, 9, 14, 15)] == pytest.approx([1.0, 0.5, 0.0, 0.0])


def test_a_constant_is_constant_after_its_warm_up():
    constant = schedule("constant", 3.0, 3.0, updates=10, warmup_updates=2)
    assert [constant.at(step) for step in range(12)] == [1.5] + [3.0] * 11


@given(
    st.sampled_from(["cosine", "linear"]),
    st.floats(0, 10),
    st.floats(0, 10),
    st.integers(1, 200).flatmap(lambda updates: st.tuples(st.just(updates), st.integers(0, updates - 1))),
)
def test_values_move_one_way_between_the_two_ends(shape, start, end, lengths):
    updates, warmup_updates = lengths
    values = [schedule(shape, start, end, updates, warmup_updates).at(step) for step in range(warmup_updates, updates + 2)]
    assert values == sorted(values, reverse=start > end) or start == pytest.approx(end)
    assert min(start, end) - 1e-9 <= min(values) and max(values) <= max(start, end) + 1e-9
    ramp = [schedule(shape, start, end, updates, warmup_updates).at(step) for step in range(warmup_updates)]
    assert ramp == pytest.approx([start * (step + 1) / warmup_updates for step in range(warmup_updates)])


@pytest.mark.parametrize(
    "change, message",
    [
        ({"shape": "constant"}, "a constant schedule needs start == end, got 2.0 and 0.5"),
        ({"updates": 0}, "updates must be at least 1, got 0"),
        ({"warmup_updates": 100}, r"warmup_updates must be in \[0, updates=100\), got 100"),
        ({"warmup_updates": -1}, r"warmup_updates must be in \[0, updates=100\), got -1"),
    ],
)
def test_schedules_that_lead_nowhere(change, message):
    with pytest.raises(ValueError, match=message):
        schedule(**change)


def factors(losses, *, window=1, threshold=0.1, halvings=5):
    """The factor of the step size of each update."""
    halving, used = PlateauHalving(PlateauRule(window=window, threshold=threshold, halvings=halvings)), []
    for loss in losses:
        used.append(halving.factor)
        halving.see(loss)
    return used


@pytest.mark.parametrize(
    "losses, expected",
    [
        ([4, 3, 2, 1], [1, 1, 1, 1]),
        ([4, 3, 3, 3], [1, 1, 1, 0.5]),
        ([4, 3, 2.75, 2, 2], [1, 1, 1, 0.5, 0.5]),  # 2.75 is lower than 3, but by less than a tenth of it
        ([4, 3, 9, 2.75, 2], [1, 1, 1, 0.5, 0.25]),  # what counts is the lowest so far, not the last
        ([-3, -3.25, -4, -4.25], [1, 1, 0.5, 0.5]),  # a tenth of 3 is 0.3 on either side of zero
        ([1] * 9, [1, 1, 0.5, 0.25, 1 / 8, 1 / 16, 1 / 32, 1 / 32, 1 / 32]),
    ],
)
def test_a_step_size_is_halved_after_every_plateau(losses, expected):
    assert factors(losses) == expected


@given(st.lists(st.floats(-5, 5), min_size=1, max_size=40), st.integers(1, 7), st.floats(0, 0.5), st.integers(1, 3))
def test_the_rule_of_plateaus_written_out(losses, window, threshold, halvings):
    means = [sum(losses[start : start + window]) / window for start in range(0, len(losses), window)]
    plateaus = [min(means[:i]) - means[i] <= threshold * abs(min(means[:i])) for i in range(1, len(means))]
    # update number u has seen u // window whole windows, the first of which cannot be a plateau
    used = [0.5 ** min(halvings, sum(plateaus[: max(0, update // window - 1)])) for update in range(len(losses))]
    assert factors(losses, window=window, threshold=threshold, halvings=halvings) == used


def test_a_long_flat_noisy_curve_is_halved_only_where_chance_is_not_ruled_out():
    """A loss that falls by 2 % a window under noise of 10 % an update: 400 updates average the noise to half a per cent."""
    rng = random.Random(0)
    losses = [0.98 ** (update / 400) * (1 + rng.gauss(0, 0.1)) for update in range(8000)]
    assert factors(losses, window=400, threshold=0.001)[-1] == 1
    assert factors(losses, window=4, threshold=0.001)[-1] == 1 / 32


@pytest.mark.parametrize(
    "change, message",
    [
        ({"window": 0}, "window must be at least 1, got 0"),
        ({"halvings": 0}, "halvings must be at least 1, got 0"),
        ({"threshold": 1.0}, r"threshold must be in \[0, 1\), a share of the loss, got 1.0"),
        ({"threshold": float("nan")}, "threshold must be in"),
    ],
)
def test_rules_that_find_no_plateau(change, message):
    with pytest.raises(ValueError, match=message):
        PlateauRule(**{"window": 10, "threshold": 0.1, "halvings": 5, **change})
