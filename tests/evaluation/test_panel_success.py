"""Success of completions against counting by hand: the pictures are rendered, so what each shows is known."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import binomtest

from dalle.evaluation.panel_success import as_asked, asked_otherwise, completion_metrics, success_metrics
from dalle.miniworld.panels import KINDS
from dalle.miniworld.reader_accuracy import fresh_panels


@pytest.fixture(scope="module")
def rendered():
    """Twelve pictures of panels, four of each kind: (panels, uint8 (12, 48, 48, 3))."""
    panels, images = zip(*(fresh_panels(index, 3, 48) for index in range(12)), strict=True)
    return list(panels), np.stack(images)


def copied_below(image):
    return np.concatenate([image[:24], image[:24]])


def test_a_picture_is_as_asked_when_both_halves_are(rendered):
    panels, images = rendered
    assert as_asked(images, panels).all()
    copies = np.stack([copied_below(image) for image in images])
    assert as_asked(copies, panels).tolist() == [wanted.kind == "copied" for wanted in panels]
    swapped = np.concatenate([images[:, 24:], images[:, :24]], axis=1)
    assert as_asked(swapped, panels).tolist() == [wanted.kind == "copied" for wanted in panels], "the top counts too"


def test_shares_over_all_and_over_each_kind_with_wilson_intervals(rendered):
    panels, _ = rendered
    successes = np.array([wanted.kind == "copied" or index == 0 for index, wanted in enumerate(panels)])
    metrics = success_metrics("dvae", successes, panels, interval=True)
    shares = {key: value for key, value in metrics.items() if key.startswith("success/")}
    assert shares == {
        "success/dvae": 5 / 12, "success/dvae_reflected": 1 / 4, "success/dvae_recoloured": 0.0, "success/dvae_copied": 1.0,
    }  # fmt: skip
    low, high = binomtest(5, 12).proportion_ci(method="wilson")
    assert (metrics["success_low/dvae"], metrics["success_high/dvae"]) == pytest.approx((low, high))
    assert set(success_metrics("dvae", successes, panels)) == set(shares)


def test_asking_otherwise_keeps_the_top_and_takes_another_kind(rendered):
    panels, images = rendered
    others = asked_otherwise(panels)
    for wanted, other in zip(panels, others, strict=True):
        assert other.kind != wanted.kind
        assert replace(other, kind=wanted.kind, colour_below=wanted.colour_below) == wanted
        assert other.kind == "recoloured" or other.colour_below == other.colour
    assert not as_asked(images, others).any(), "what does as its caption says does not do as another says"


def test_a_model_that_ignores_captions_succeeds_no_more_than_under_other_captions(rendered):
    """It copies the top whatever is asked: a third of all, and as much by the captions of others."""
    panels, images = rendered
    copies = np.stack([copied_below(image) for image in images])[:, None]
    told = np.stack([as_asked(copies[:, 0], panels)], axis=1)
    metrics = completion_metrics(copies, told, np.zeros(12, int), panels)
    assert metrics["success/dalle_best_of_1"] == metrics["success/other_caption"] == pytest.approx(1 / 3)
    assert metrics["success/other_caption_copied"] == 1 and metrics["success/other_caption_reflected"] == 0
    assert [metrics[f"pictures/{kind}"] for kind in KINDS] == [4, 4, 4]


def test_the_best_of_n_is_the_candidate_that_was_chosen(rendered):
    panels, images = rendered
    copies = np.stack([copied_below(image) for image in images])
    completions = np.stack([copies, images], axis=1)
    told = np.stack([as_asked(completions[:, number], panels) for number in range(2)], axis=1)
    metrics = completion_metrics(completions, told, np.ones(12, int), panels)
    assert metrics["success/dalle_best_of_1"] == pytest.approx(1 / 3) and metrics["success/dalle_best_of_2"] == 1
    metrics = completion_metrics(completions, told, np.zeros(12, int), panels)
    assert metrics["success/dalle_best_of_2"] == pytest.approx(1 / 3)
