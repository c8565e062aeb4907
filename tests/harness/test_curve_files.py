import math

import numpy as np
import pytest

from harness.curves import Curves
from harness.tracker import Tracker


class Recorder(Tracker):
    """What MLflow would have been sent."""

    def __init__(self):
        self.points, self.images, self.flushes = [], [], 0

    def metrics(self, step, metrics):
        self.points.append((step, dict(metrics)))

    def image(self, name, step, image):
        self.images.append((name, step))

    def flush(self):
        self.flushes += 1


@pytest.fixture
def recorder():
    return Recorder()


@pytest.fixture
def open_curves(tmp_path, recorder):
    return lambda: Curves(tmp_path / "curves.jsonl", recorder, before_first=lambda: None, on_flush=lambda: None)


def test_resume_drops_what_will_be_done_again(open_curves):
    killed = open_curves()
    for step in range(10):
        killed(step, {"train/loss": float(step)})
    resumed = open_curves()
    resumed.resume(6)
    for step in range(6, 12):
        resumed(step, {"train/loss": 100.0 + step})
    values = {step: point["train/loss"] for step, point in resumed.points().items()}
    assert values == {**{step: step for step in range(6)}, **{step: 100 + step for step in range(6, 12)}}


def test_half_a_line_at_the_end_is_no_point(open_curves, tmp_path):
    open_curves()(0, {"train/loss": 1.0})
    with open(tmp_path / "curves.jsonl", "a") as file:
        file.write('{"step": 1, "metr')
    resumed = open_curves()
    resumed.resume(5)
    assert resumed.points() == {0: {"train/loss": 1.0}}


def test_without_resume_an_earlier_attempt_is_forgotten(open_curves):
    open_curves()(7, {"train/loss": 1.0})
    fresh = open_curves()
    assert fresh.points() == {}
    fresh(0, {"train/loss": 2.0})
    assert fresh.points() == {0: {"train/loss": 2.0}}


def test_times_are_tracked_but_never_exported(open_curves, recorder, tmp_path):
    curves = open_curves()
    curves(0, {"train/loss": 1.0, "throughput/images_per_second": 3.0})
    curves(4, {"time/seconds": 2.0})
    curves(8, {"train/loss": 0.5})
    curves.export(tmp_path / "curves.csv")
    assert (tmp_path / "curves.csv").read_text() == "step,train/loss\n0,1\n8,0.5\n"
    assert recorder.points[0] == (0, {"train/loss": 1.0, "throughput/images_per_second": 3.0})
    assert recorder.points[1] == (4, {"time/seconds": 2.0})  # no update was reported, so no rate either
    assert set(recorder.points[2][1]) == {"train/loss", "throughput/updates_per_second"}


def test_a_model_that_is_only_validated_has_no_rate(open_curves, recorder):
    curves = open_curves()
    curves.resume(0)
    curves(0, {"valid/psnr_db": 20.0})
    assert recorder.points == [(0, {"valid/psnr_db": 20.0})] and math.isnan(curves.updates_per_second())


def test_what_the_tracker_missed_is_sent_on_resume(open_curves, recorder):
    curves = open_curves()
    for step in range(4):
        curves(step, {"train/loss": float(step)})
    recorder.points.clear()
    open_curves().resume(2)
    assert recorder.points == [(0, {"train/loss": 0.0}), (1, {"train/loss": 1.0})]


def test_an_image_is_sent_once_even_after_two_kills(open_curves, recorder):
    picture = np.zeros((2, 2, 3), np.uint8)
    for _ in range(3):
        curves = open_curves()
        curves.resume(2)
        curves.image("recon", 5, picture)
    assert recorder.images == [("recon", 5)] and curves.points() == {}


def test_points_of_one_step_share_a_row(open_curves, tmp_path):
    curves = open_curves()
    curves(2, {"train/loss": 0.123456789})
    curves(2, {"valid/loss": float("nan")})
    curves.export(tmp_path / "curves.csv")
    assert (tmp_path / "curves.csv").read_text() == "step,train/loss,valid/loss\n2,0.123457,nan\n"


def test_the_rate_is_the_median_between_reports(open_curves, recorder, monkeypatch):
    curves, clock = open_curves(), iter([0.0, 1.0, 2.0, 50.0, 51.0])
    assert math.isnan(curves.updates_per_second())
    monkeypatch.setattr("harness.curves.time.monotonic", lambda: next(clock))
    curves.resume(10)
    for step in (19, 29, 39, 49):  # the third report comes after a long validation
        curves(step, {"train/loss": 1.0})
    assert curves.updates_per_second() == 10.0
    assert recorder.points[0][1]["throughput/updates_per_second"] == 10.0
