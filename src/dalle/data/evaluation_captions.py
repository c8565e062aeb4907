"""Which captions of a domain images are generated for (PAPER 6: a sample of the validation captions)."""

import pandas as pd

from dalle.randomness import numpy_generator

EVALUATION_SPLITS = {"coco": "val", "cub": "test"}


def evaluation_pairs(manifest: pd.DataFrame, domain: str) -> pd.DataFrame:
    """The pairs of the domain's evaluation split, in the manifest's order."""
    split = EVALUATION_SPLITS[domain]
    pairs = manifest[manifest["split"] == split].reset_index(drop=True)
    if pairs.empty:
        raise ValueError(f"the manifest of {domain} has no pairs of split '{split}'")
    return pairs


def choose_captions(pairs: pd.DataFrame, num_captions: int, seed: int) -> pd.DataFrame:
    """`caption_id, image_id, caption`: one caption of each of `num_captions` images drawn without replacement.

    Where there are fewer images, every image gives one. The order is random too, so the first ones are a fair sample.
    """
    rng = numpy_generator(seed, "evaluation captions")
    shuffled = pairs.iloc[rng.permutation(len(pairs))].drop_duplicates("image_id").head(num_captions)
    chosen = shuffled.rename(columns={"pair_id": "caption_id"})
    return chosen[["caption_id", "image_id", "caption"]].reset_index(drop=True)
