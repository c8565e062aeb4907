import numpy as np
import pytest

from dalle.evaluation.caption_accuracy import (
    NUM_SHIFTS,
    caption_accuracy,
    caption_accuracy_rows,
    chance_rows,
    oracle_rows,
)
from dalle.evaluation.table import COLUMNS
from dalle.miniworld.birds import describe_bird
from dalle.miniworld.captions import caption_scene, parse_caption
from dalle.miniworld.pictures import render_scene
from dalle.miniworld.reader_accuracy import fresh_bird
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


@pytest.fixture(scope="module")
def birds():
    """Birds of thirty species (uint8, 64 px) with true captions."""
    renders = [fresh_bird(index, 3, 64) for index in range(30)]
    captions = [describe_bird(species, np.random.default_rng(index), 1)[0] for index, (species, _) in enumerate(renders)]
    return np.stack([image for _, image in renders]), captions


def test_birds_are_told_by_the_colours_that_captions_name(birds):
    images, captions = birds
    value, num_read = caption_accuracy(images, captions)
    assert num_read == 30 and value >= 0.95
    assert caption_accuracy(images, np.roll(captions, 7).tolist())[0] <= 0.2
    (row,) = caption_accuracy_rows(np.ones((30, 1), bool), captions, (1,), domain="cub", model="real")
    assert row["reference"] == "all" and row["num_samples"] == 30  # no scene, no number of objects


def test_rows_for_every_n_and_every_part_of_the_captions(scenes):
    images, captions = scenes
    told = np.stack([np.arange(40) % 2 == 0, np.arange(40) % 4 != 3], axis=1)
    rows = caption_accuracy_rows(told, captions, (1, 2), domain="coco", model="dalle")
    assert all(set(row) == set(COLUMNS) for row in rows)
    found = {(row["reference"], row["candidates"]): (row["num_samples"], row["value"]) for row in rows}
    assert found["all", 1] == (40, 0.5) and found["all", 2] == (40, 0.75)
    assert found["heldout", 1] == (20, 0.5) and found["heldout", 2] == (20, 0.75)
    objects = np.array([len(parse_caption(caption).objects) for caption in captions])
    for number, name in enumerate(("one_object", "two_objects", "three_objects"), start=1):
        members = objects == number
        if members.any():
            assert found[name, 2] == (members.sum(), pytest.approx(told[members, 1].mean()))
        else:
            assert (name, 2) not in found


def test_the_oracle_is_right_where_any_of_the_first_n_is(scenes):
    told = np.zeros((40, 4), dtype=bool)
    told[:10, 0], told[5:20, 1], told[39, 3] = True, True, True
    rows = oracle_rows(told, scenes[1], (1, 2, 4), domain="coco", model="dalle")
    assert {row["metric"] for row in rows} == {"oracle_accuracy"}
    values = [row["value"] for row in rows if row["reference"] == "all"]
    assert values == [10 / 40, 20 / 40, 21 / 40]


def test_interval_is_wilsons(scenes):
    told = np.arange(40)[:, None] < 13
    row = caption_accuracy_rows(told, scenes[1], (1,), domain="coco", model="dalle")[0]
    n, p, z = 40, 13 / 40, 1.959963984540054
    centre = (p + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z / (1 + z**2 / n) * np.sqrt(p * (1 - p) / n + z**2 / (4 * n**2))
    assert (row["low"], row["high"]) == pytest.approx((centre - half, centre + half))


def test_a_part_without_captions_has_no_row(scenes):
    told = np.ones((5, 1), dtype=bool)
    rows = caption_accuracy_rows(told, scenes[1][:5], (1,), domain="coco", model="dalle")
    assert "heldout" not in {row["reference"] for row in rows}
    assert caption_accuracy_rows(told, ["a small bird"] * 5, (1,), domain="cub", model="dalle") == []
    with pytest.raises(ValueError, match=r"each of 5 captions and 2 N, got \(5, 1\)"):
        caption_accuracy_rows(told, scenes[1][:5], (1, 2), domain="coco", model="dalle")


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
    own = {image.tobytes(): parse_caption(caption) for image, caption in zip(images, captions, strict=True)}
    asked = []

    def shown(images, queries):
        asked.append(len(images))
        return np.array([query == own[image.tobytes()] for image, query in zip(images, queries, strict=True)])

    monkeypatch.setattr("dalle.evaluation.caption_accuracy.shown", shown)
    distinct = [index for index, query in enumerate(own.values()) if list(own.values()).index(query) == index]
    (row,) = chance_rows(images[distinct], [captions[index] for index in distinct], domain="coco", model="m", candidates=1)
    assert asked == [len(distinct)] * NUM_SHIFTS
    assert row["value"] == row["high"] == 0
