import numpy as np
import pytest

from dalle.evaluation.caption_accuracy import NUM_SHIFTS, caption_accuracy, caption_accuracy_rows, chance_rows
from dalle.evaluation.table import COLUMNS
from dalle.miniworld.captions import caption_scene, parse_caption
from dalle.miniworld.pictures import render_scene
from dalle.miniworld.scenes import draw_scene


@pytest.fixture(scope="module")
def scenes():
    """Forty pictures of scenes (uint8, 64 px) with true captions, the second half with a held-out combination."""
    images, captions = [], []
    for index in range(40):
        rng = np.random.default_rng([1, index])
        scene = draw_scene(rng, heldout=index >= 20)
        images.append(np.asarray(render_scene(scene, rng, (64, 64))))
        captions.append(caption_scene(scene, rng))
    return np.stack(images), captions


def test_true_captions_are_right_and_foreign_ones_wrong(scenes):
    images, captions = scenes
    value, num_read = caption_accuracy(images, captions)
    assert num_read == 40
    assert value >= 0.95
    assert caption_accuracy(images, np.roll(captions, 7).tolist())[0] <= 0.2


def test_captions_about_something_else_do_not_count(scenes):
    images, captions = scenes
    mixed = [*captions[:10], *["a sparrow with a white belly"] * 10]
    assert caption_accuracy(images[:20], mixed) == (caption_accuracy(images[:10], captions[:10])[0], 10)
    value, num_read = caption_accuracy(images[:1], ["a sparrow with a white belly"])
    assert np.isnan(value)
    assert num_read == 0


def test_rows_for_every_n_over_all_and_over_held_out_captions(scenes):
    images, captions = scenes
    # at N = 1 every caption gets the picture of another one, at N = 2 its own
    right = np.arange(40)
    wrong_images = np.roll(images, 7, axis=0)
    winners = np.stack([right, right + 40], axis=1)
    rows = caption_accuracy_rows(
        np.concatenate([wrong_images, images]), captions * 2, winners, (1, 2), domain="coco", model="dalle"
    )
    assert all(set(row) == set(COLUMNS) for row in rows)
    found = {(row["reference"], row["candidates"]): (row["num_samples"], row["value"]) for row in rows}
    assert {key: n for key, (n, _) in found.items()} == {("all", 1): 40, ("all", 2): 40, ("heldout", 1): 20, ("heldout", 2): 20}
    assert found["all", 2][1] == caption_accuracy(images, captions)[0]
    assert found["heldout", 2][1] == caption_accuracy(images[20:], captions[20:])[0]
    assert found["all", 1][1] <= 0.2 < 0.9 < found["all", 2][1]


def test_interval_is_wilsons(scenes):
    images, captions = scenes
    winners = np.arange(40)[:, None]
    row = caption_accuracy_rows(images, captions, winners, (1,), domain="coco", model="dalle")[0]
    n, p, z = row["num_samples"], row["value"], 1.959963984540054
    centre = (p + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z / (1 + z**2 / n) * np.sqrt(p * (1 - p) / n + z**2 / (4 * n**2))
    assert (row["low"], row["high"]) == pytest.approx((centre - half, centre + half))


def test_a_split_without_captions_has_no_row(scenes):
    images, captions = scenes
    rows = caption_accuracy_rows(images[:5], captions[:5], np.arange(5)[:, None], (1,), domain="coco", model="dalle")
    assert [row["reference"] for row in rows] == ["all"]
    birds = ["a small bird"] * 5
    assert caption_accuracy_rows(images[:5], birds, np.arange(5)[:, None], (1,), domain="cub", model="dalle") == []


def test_chance_is_the_mean_over_all_other_captions_where_these_are_few(scenes):
    images, captions = scenes[0][:12], [*scenes[1][:12]]
    captions[5] = captions[2]  # by chance an image may show another's caption
    asked = {"domain": "coco", "model": "dalle", "candidates": 8}
    (row,) = chance_rows(images, captions, **asked)
    shares = [caption_accuracy(np.roll(images, -shift, axis=0), captions)[0] for shift in range(1, 12)]
    assert row["value"] == pytest.approx(np.mean(shares)) and (row["low"], row["high"]) == (min(shares), max(shares))
    assert row["value"] > 0 and set(row) == set(COLUMNS) and row["metric"] == "caption_accuracy_shuffled"
    assert row["num_samples"] == 12 and row["candidates"] == 8
    (mixed,) = chance_rows(scenes[0][:13], [*captions, "a sparrow with a white belly"], **asked)
    assert mixed == row
    assert chance_rows(images[:2], ["a sparrow with a white belly", captions[0]], **asked) == []


def test_chance_takes_no_image_with_its_own_caption(scenes, monkeypatch):
    """A reader that sees nothing but whose picture it is: right for the own caption alone, so chance is nothing."""
    images, captions = scenes
    own = {image.tobytes(): caption for image, caption in zip(images, captions, strict=True)}
    asked = []

    def shows(image, query):
        asked.append(own[image.tobytes()])
        return query == parse_caption(own[image.tobytes()])

    monkeypatch.setattr("dalle.evaluation.caption_accuracy.shows", shows)
    distinct = [index for index, caption in enumerate(captions) if captions.index(caption) == index]
    (row,) = chance_rows(images[distinct], [captions[index] for index in distinct], domain="coco", model="m", candidates=1)
    assert len(asked) == NUM_SHIFTS * len(distinct)
    assert row["value"] == row["high"] == 0
