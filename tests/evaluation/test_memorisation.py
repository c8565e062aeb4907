import numpy as np
import pytest

from dalle.evaluation.memorisation import (
    NUM_OTHERS,
    Nearest,
    memorisation_metrics,
    nearest_training_images,
    read_nearest,
    write_nearest,
)


def features(num, *shape, seed):
    return np.random.default_rng(seed).random((num, *shape), dtype=np.float32)


def by_hand(images, training):
    """All distances at once, in float64: (Q, n), the nearest view of each training image."""
    differences = images[:, None, None].astype(float) - training[None]
    return np.sqrt((differences**2).mean(-1)).min(2)


@pytest.mark.parametrize("block", [1, 7, 60, 1000])
@pytest.mark.parametrize("num_training", [2, 30, 150])
def test_blocks_give_what_all_distances_at_once_give(num_training, block):
    """The block's memory is used again for the next one, so whatever were kept of it would be wrong."""
    images, training = features(9, 12, seed=0), features(num_training, 3, 12, seed=1)

    def blocks():
        memory = np.empty((block, 3, 12), np.float32)
        for start in range(0, num_training, block):
            part = training[start : start + block]
            memory[: len(part)] = part
            yield memory[: len(part)]

    found, distances = nearest_training_images(images, blocks()), by_hand(images, training)
    np.testing.assert_array_equal(found.index, distances.argmin(1))
    np.testing.assert_allclose(found.distance, distances.min(1), rtol=1e-4)
    others = np.sort(distances, 1)[:, 1 : 1 + NUM_OTHERS].mean(1)
    np.testing.assert_allclose(found.relative, distances.min(1) / others, rtol=1e-4)


def test_planted_copies_are_found_and_plain_pictures_are_not_copies():
    """Plain pictures are nearer to others than a noisy copy of a busy picture is to its original, and yet no copies."""
    rng = np.random.default_rng(0)
    plain = 0.5 + 0.02 * rng.standard_normal((300, 1, 48)).astype(np.float32)
    busy = features(300, 1, 48, seed=1)
    training = np.concatenate([plain, busy])
    copied = rng.choice(300, 40, replace=False) + 300
    copies = training[copied, 0] + 0.06 * rng.standard_normal((40, 48)).astype(np.float32)
    more_plain = 0.5 + 0.02 * rng.standard_normal((40, 48)).astype(np.float32)
    found = nearest_training_images(np.concatenate([copies, more_plain]), [training])
    assert found.distance[40:].max() < found.distance[:40].min()
    np.testing.assert_array_equal(found.index[:40], copied)
    assert found.copies[:40].all() and not found.copies[40:].any()


def test_an_exact_copy_has_no_distance_worth_speaking_of():
    training = features(100, 3, 192, seed=0)
    found = nearest_training_images(training[[3, 50], [2, 0]], [training])
    assert found.index.tolist() == [3, 50] and found.distance.max() < 1e-3 and found.copies.all()
    everywhere = np.zeros((60, 1, 5), np.float32)  # all training images alike: no one of them is copied
    assert not np.isnan(nearest_training_images(everywhere[0], [everywhere]).relative).any()


def test_one_training_image_says_nothing_of_near_and_far():
    with pytest.raises(ValueError, match="2 training images at least to tell near from far, got 1"):
        nearest_training_images(features(2, 4, seed=0), [features(1, 2, 4, seed=1)])


def nearest(distance, relative):
    return Nearest(np.zeros(len(distance), np.int64), np.array(distance, float), np.array(relative, float))


def test_metrics_in_closed_form():
    found = {"dalle": nearest([1, 2, 5], [0.4, 0.5, 0.9]), "real": nearest([2, 3], [0.1, 0.2])}
    metrics = memorisation_metrics(found)
    assert metrics.pop("memorisation/copies_dalle") == pytest.approx(1 / 3)  # 0.5 itself is none
    assert metrics.pop("memorisation/copies_real") == 1
    # 1 is nearer than both, 2 nearer than one and level with the other, 5 than none
    assert metrics.pop("memorisation/nearer_than_real") == pytest.approx((2 + 1.5 + 0) / 6)
    assert metrics == {
        "memorisation/distance_dalle": 2, "memorisation/distance_real": 2.5,
        "memorisation/relative_dalle": 0.5, "memorisation/relative_real": pytest.approx(0.15),
    }  # fmt: skip


def test_alike_sets_are_nearer_half_the_time():
    found = nearest([1, 1, 2, 3], [1] * 4)
    assert memorisation_metrics({"dalle": found, "real": found})["memorisation/nearer_than_real"] == 0.5


def test_what_is_written_is_read_back(tmp_path):
    found = {"dalle": nearest([0.25, 1 / 3], [0.5, 1]), "real": Nearest(np.array([1]), np.array([2.0]), np.array([0.125]))}
    for name in ("a.csv", "b.csv"):
        write_nearest(found, np.array(["007", "00/1"]), tmp_path / name)
    assert (tmp_path / "a.csv").read_bytes() == (tmp_path / "b.csv").read_bytes()
    table = read_nearest(tmp_path / "a.csv")
    assert table["model"].tolist() == ["dalle", "dalle", "real"] and table["image"].tolist() == [0, 1, 0]
    assert table["nearest"].tolist() == ["007", "007", "00/1"]  # an id is no number
    assert table["distance"].tolist() == [0.25, 0.333333, 2] and table["relative"].tolist() == [0.5, 1, 0.125]
    (tmp_path / "a.csv").write_text("model,image\n")
    with pytest.raises(ValueError, match="a.csv: expected the columns model, image, nearest, distance, relative"):
        read_nearest(tmp_path / "a.csv")
