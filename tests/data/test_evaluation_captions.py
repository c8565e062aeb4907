import numpy as np
import pandas as pd
import pytest

from dalle.data.evaluation_captions import choose_captions, evaluation_pairs


def manifest(num_images: int, split: str = "val") -> pd.DataFrame:
    rows = [
        {"pair_id": f"{image}-{line}", "image_id": str(image), "caption": f"caption {line} of {image}", "split": split}
        for image in range(num_images)
        for line in range(5)
    ]
    return pd.DataFrame(rows)


def choose(pairs: pd.DataFrame, choice: str, number: int | None, seed: int = 0) -> pd.DataFrame:
    return choose_captions(pairs, choice, number, seed)


@pytest.mark.parametrize("choice", ["one_an_image", "pool", "unique"])
def test_captions_come_with_their_own_text_and_image(choice):
    chosen = choose(manifest(30), choice, 20)
    assert len(chosen) == 20 and chosen["caption_id"].is_unique
    for row in chosen.itertuples():
        image, line = row.caption_id.split("-")
        assert (row.image_id, row.caption) == (image, f"caption {line} of {image}")


def test_one_an_image_takes_every_image_and_every_line_sometimes():
    chosen = choose(manifest(60), "one_an_image", 60)
    assert chosen["image_id"].is_unique
    assert {caption_id.split("-")[1] for caption_id in chosen["caption_id"]} == set("01234")
    for more in (100, None):
        assert set(choose(manifest(7), "one_an_image", more)["image_id"]) == set(map(str, range(7)))


def test_the_pool_takes_images_as_often_as_chance_has_it():
    """The share of distinct images among 60 of 60 x 5 captions against drawing by hand; and all of them without a number."""
    pairs = manifest(60)
    distinct = np.mean([choose(pairs, "pool", 60, seed)["image_id"].nunique() for seed in range(40)])
    images = pairs["image_id"].to_numpy()
    by_hand = np.mean([len(set(np.random.default_rng(seed).choice(images, 60, replace=False))) for seed in range(400)])
    assert distinct == pytest.approx(by_hand, abs=1.5) and distinct < 50
    everything = choose(pairs, "pool", None)
    assert sorted(everything["caption_id"]) == sorted(pairs["pair_id"]) != everything["caption_id"].tolist()


def test_unique_captions_keep_the_first_image_of_those_that_say_the_same():
    said = ["A red bird", "a  red bird ", "a blue bird", "A RED BIRD", "a blue\tbird", "a red  birds"]
    pairs = pd.DataFrame({"pair_id": list("abcdef"), "image_id": list("112233"), "caption": said, "split": "test"})
    chosen = choose(pairs, "unique", None).sort_values("caption_id")
    assert chosen["caption_id"].tolist() == ["a", "c", "f"] and chosen["image_id"].tolist() == ["1", "2", "3"]
    assert chosen["caption"].tolist() == ["A red bird", "a blue bird", "a red  birds"], "as it was written"


@pytest.mark.parametrize("choice", ["one_an_image", "pool", "unique"])
def test_the_choice_is_the_seed_s_and_a_smaller_one_is_its_beginning(choice):
    pairs = manifest(30)
    first = choose(pairs, choice, 20)
    pd.testing.assert_frame_equal(first, choose(pairs, choice, 20))
    pd.testing.assert_frame_equal(first.head(5), choose(pairs, choice, 5))
    pd.testing.assert_frame_equal(first, choose(pairs, choice, None).head(20))
    assert choose(pairs, choice, 20, seed=1)["caption_id"].tolist() != first["caption_id"].tolist()


def test_evaluation_split_of_each_domain():
    both = pd.concat([manifest(3, "train"), manifest(2, "test")])
    assert set(evaluation_pairs(both, "cub")["split"]) == {"test"}
    with pytest.raises(ValueError, match="manifest of coco has no pairs of split 'val'"):
        evaluation_pairs(both, "coco")
