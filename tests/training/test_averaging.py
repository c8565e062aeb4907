import math

import pytest
import torch
from torch import nn

from dalle.training.averaging import ExponentialMovingAverage
from toy_training import linear


def set_all(model, value):
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.fill_(value)


def averaged(values, *, decay, every=1):
    """The average after the parameters were values[0] at first and values[1:] after each update."""
    model = linear()
    set_all(model, values[0])
    ema = ExponentialMovingAverage(model, decay=decay, every=every)
    for step, value in enumerate(values[1:]):
        set_all(model, value)
        ema.update(model, step)
    ema.copy_to(model)
    copied = [parameter.detach().unique().tolist() for parameter in model.parameters()]
    assert copied[0] == copied[1] and len(copied[0]) == 1
    return copied[0][0]


def closed_form(values, decay):
    """Copy n weighs (1 - d_n) d_(n+1) d_(n+2) ..., with d_n = min(decay, (1 + n) / (10 + n)); the start has what is left."""
    decays = [min(decay, (1 + n) / (10 + n)) for n in range(1, len(values))]
    total = values[0] * math.prod(decays)
    for n, value in enumerate(values[1:]):
        total += value * (1 - decays[n]) * math.prod(decays[n + 1 :])
    return total


@pytest.mark.parametrize("decay", [0.0, 0.3, 0.9, 0.999])
def test_the_average_is_the_weighted_sum_it_stands_for(decay):
    values = [5.0, 1.0, -2.0, 3.0, 0.5, 8.0, -1.0, 2.0, 2.5]
    assert averaged(values, decay=decay) == pytest.approx(closed_form(values, decay), rel=1e-5)


def test_after_the_first_copies_the_decay_is_the_one_asked_for():
    """d_n has reached 0.6 for n = 13: a step from 0 to 1 later on is then closed by 1 - 0.6^m."""
    steps = [averaged([0.0] * 20 + [1.0] * m, decay=0.6) for m in range(1, 8)]
    assert steps == pytest.approx([1 - 0.6**m for m in range(1, 8)], rel=1e-5)


def test_the_initial_parameters_are_soon_forgotten():
    assert averaged([1000.0] + [1.0] * 30, decay=0.999) < 1.01  # without the warm-up it would be 970


def test_parameters_are_taken_in_every_few_updates():
    values = [5.0, 1.0, -2.0, 3.0, 0.5, 8.0, -1.0, 2.0]
    assert averaged(values, decay=0.9, every=3) == pytest.approx(closed_form([5.0, 3.0, -1.0], 0.9), rel=1e-5)


def test_the_average_goes_on_from_its_state():
    model = linear()
    emas = [ExponentialMovingAverage(model, decay=0.9, every=2) for _ in range(2)]
    for step in range(11):
        set_all(model, step**1.5)
        if step == 5:
            resumed = ExponentialMovingAverage(linear(), decay=0.9, every=2)
            resumed.load_state_dict(emas[1].state_dict())
            emas[1] = resumed
        for ema in emas:
            ema.update(model, step)
    assert emas[0].num_copies == emas[1].num_copies == 5
    assert all(torch.equal(emas[0].shadow[name], emas[1].shadow[name]) for name in emas[0].shadow)


def test_the_average_is_not_the_model_s_own_memory_and_is_float32():
    model = nn.Linear(2, 2).bfloat16()
    set_all(model, 1.0)
    ema = ExponentialMovingAverage(model, decay=0.9, every=1)
    set_all(model, 2.0)
    assert all((value == 1).all() and value.dtype == torch.float32 for value in ema.shadow.values())


@pytest.mark.parametrize(
    "settings, message",
    [
        ({"decay": 1.0, "every": 1}, r"ema decay must be in \[0, 1\), got 1.0"),
        ({"decay": -0.1, "every": 1}, r"ema decay must be in \[0, 1\), got -0.1"),
        ({"decay": 0.5, "every": 0}, "ema every must be at least 1, got 0"),
    ],
)
def test_averages_of_nothing(settings, message):
    with pytest.raises(ValueError, match=message):
        ExponentialMovingAverage(linear(), **settings)
