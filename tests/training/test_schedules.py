import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dalle.training.schedules import Schedule


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
