"""Which of a domain's pairs a prior goes on with."""

import pandas as pd
import pytest

from dalle.finetuning.split import training_split


def manifest(num_train=60, num_test=20, captions=3) -> pd.DataFrame:
    images = [(f"{split}{number}", split) for split, count in (("train", num_train), ("test", num_test)) for number in range(count)]
    rows = [(f"{image}-{caption}", image, split) for image, split in images for caption in range(captions)]
    return pd.DataFrame(rows, columns=["pair_id", "image_id", "split"])


def test_what_is_evaluated_is_never_trained_on():
    pairs = training_split(manifest(), "cub", 0.2, seed=0)
    assert set(pairs["image_id"]) == {f"train{number}" for number in range(60)}
    assert pairs["pair_id"].tolist() == manifest().query("split == 'train'")["pair_id"].tolist()


def test_images_are_held_out_whole_and_stay_so_when_others_come():
    pairs, more = (training_split(manifest(num_train), "cub", 0.2, seed=0) for num_train in (60, 90))
    assert (pairs.groupby("image_id")["split"].nunique() == 1).all()
    share = (pairs["split"] == "valid").mean()
    assert 0.05 < share < 0.4
    assert more[more["image_id"].isin(pairs["image_id"])]["split"].tolist() == pairs["split"].tolist()
    assert training_split(manifest(), "cub", 0.2, seed=1)["split"].tolist() != pairs["split"].tolist()


def test_a_split_without_images_is_said():
    with pytest.raises(ValueError, match="nothing beside its evaluation split"):
        training_split(manifest(num_train=0), "cub", 0.2, seed=0)
    with pytest.raises(ValueError, match="valid_fraction 0.001 leaves no image of cub for 'valid': its training split has 3"):
        training_split(manifest(num_train=3), "cub", 0.001, seed=0)
