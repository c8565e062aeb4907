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


def test_one_caption_an_image_with_its_own_text():
    chosen = choose_captions(manifest(30), 20, seed=0)
    assert len(chosen) == 20 and chosen["image_id"].is_unique
    for row in chosen.itertuples():
        image, line = row.caption_id.split("-")
        assert (row.image_id, row.caption) == (image, f"caption {line} of {image}")


def test_every_line_of_the_captions_is_chosen_sometimes_and_every_image():
    lines = {caption_id.split("-")[1] for caption_id in choose_captions(manifest(60), 60, seed=0)["caption_id"]}
    assert lines == set("01234")
    assert set(choose_captions(manifest(7), 100, seed=0)["image_id"]) == set(map(str, range(7)))


def test_the_choice_is_the_seed_s_and_a_smaller_one_is_its_beginning():
    pairs = manifest(30)
    first = choose_captions(pairs, 20, seed=0)
    pd.testing.assert_frame_equal(first, choose_captions(pairs, 20, seed=0))
    pd.testing.assert_frame_equal(first.head(5), choose_captions(pairs, 5, seed=0))
    assert choose_captions(pairs, 20, seed=1)["caption_id"].tolist() != first["caption_id"].tolist()


def test_evaluation_split_of_each_domain():
    both = pd.concat([manifest(3, "train"), manifest(2, "test")])
    assert set(evaluation_pairs(both, "cub")["split"]) == {"test"}
    with pytest.raises(ValueError, match="manifest of coco has no pairs of split 'val'"):
        evaluation_pairs(both, "coco")
