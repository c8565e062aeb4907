"""The first 20 updates of every training against committed curves, so that a refactor proves that it changed nothing.

Where a change of the arithmetic is meant, `python -m pytest tests/golden --update-golden` writes the curves anew; the
difference then stands in the commit.
"""

import dataclasses
import math

import pytest
from golden_curves import UPDATE_COMMAND, differences, read_curves, write_curves
from golden_trainings import CLIP, DVAE, PRIOR, TRAININGS, UPDATES, cosine, run


@pytest.mark.parametrize("name", TRAININGS)
def test_training_follows_its_golden_curve(name, tmp_path, request):
    points = run(name, tmp_path)
    if request.config.getoption("--update-golden"):
        write_curves(name, points)
    found = differences(name, points)
    assert not found, "\n".join(
        [f"{name} no longer follows tests/golden/{name}.csv:", *found.values(), f"If that is meant: {UPDATE_COMMAND}"]
    )


def steeper(schedule):
    return dataclasses.replace(schedule, start=1.01 * schedule.start, end=1.01 * schedule.end)


CHANGES = [
    ("train_dvae", {"optim__learning_rate": steeper(DVAE.optim.learning_rate)}),
    ("train_dvae", {"optim__ema_decay": 0.5}),
    ("train_dvae", {"optim__clip_norm": 1e9}),
    ("train_dvae", {"beta": cosine(0.0, 1.01, 12)}),
    ("train_dvae", {"tau": cosine(1.0, 1 / 15, 16)}),
    ("train_dvae", {"warm_start__updates": 3}),
    ("train_dvae", {"warm_start__bottleneck_noise": 0.06}),
    ("train_dvae", {"crop_scale": (1.0, 1.0)}),
    ("train_dvae", {"optim__shards": 1}),
    ("train_dvae", {"seed": 1}),
    ("train_prior", {"optim__learning_rate": steeper(PRIOR.optim.learning_rate)}),
    ("train_prior", {"optim__ema_every": 1}),
    ("train_prior", {"optim__clip_norm": 1e9}),
    ("train_prior", {"optim__weight_decay": 0.0}),
    ("train_prior", {"optim__betas": (0.9, 0.98)}),
    ("train_prior", {"bpe_dropout": 0.19}),
    ("train_prior", {"image_loss_weight": 0.87}),
    ("train_prior", {"loss_on_padding": True}),
    ("train_prior", {"seed": 1}),
    ("train_prior_pixelcnn", {"optim__learning_rate": steeper(PRIOR.optim.learning_rate)}),
    ("train_prior_pixelcnn", {"pixelcnn__kernel": 5}),
    ("train_prior_pixelcnn", {"image_loss_weight": 0.87}),
    ("train_prior_pixelcnn", {"seed": 1}),
    ("train_clip", {"optim__learning_rate": steeper(CLIP.optim.learning_rate)}),
    ("train_clip", {"optim__ema_decay": 0.5}),
    ("train_clip", {"optim__clip_norm": 1e9}),
    ("train_clip", {"seed": 1}),
]


@pytest.mark.parametrize("name, change", CHANGES, ids=[f"{name}-{next(iter(change))}" for name, change in CHANGES])
def test_small_changes_are_refused(name, change, tmp_path):
    """By what the model did, not only by the columns that repeat the schedules."""
    found = differences(name, run(name, tmp_path, **change))
    assert [column for column in found if not column.startswith("schedule/")]


@pytest.mark.parametrize("name", TRAININGS)
def test_every_update_and_a_validation_every_five_are_in_the_curve(name):
    golden = read_curves(name)
    assert list(golden) == list(range(UPDATES))
    assert all({"train/loss", "train/grad_norm", "schedule/learning_rate"} <= set(metrics) for metrics in golden.values())
    assert [step for step, metrics in golden.items() if "valid/loss" in metrics or "valid/psnr_db" in metrics] == [4, 9, 14, 19]


@pytest.mark.parametrize("name", TRAININGS)
def test_one_number_out_of_place_is_named(name):
    points = read_curves(name)
    assert differences(name, points) == {}
    points[7]["train/loss"] *= 1.01
    points[9]["train/grad_norm"] = math.nan
    del points[UPDATES - 1]["schedule/learning_rate"]
    found = differences(name, points)
    assert set(found) == {"train/loss", "train/grad_norm", "schedule/learning_rate"}
    was = read_curves(name)[7]["train/loss"]
    assert found["train/loss"].startswith(f"train/loss at update 7 is {1.01 * was:.7g}, was {was:.7g} (+- ")
