"""Which captions of a domain images are generated for (PAPER 6: 30,000 of MS-COCO's, of CUB's all that are different)."""

from typing import Literal

import pandas as pd

from dalle.randomness import numpy_generator

EVALUATION_SPLITS = {"coco": "val", "cub": "test"}
CaptionChoice = Literal["one_an_image", "pool", "unique"]


def evaluation_pairs(manifest: pd.DataFrame, domain: str) -> pd.DataFrame:
    """The pairs of the domain's evaluation split, in the manifest's order."""
    split = EVALUATION_SPLITS[domain]
    pairs = manifest[manifest["split"] == split].reset_index(drop=True)
    if pairs.empty:
        raise ValueError(f"the manifest of {domain} has no pairs of split '{split}'")
    return pairs


def choose_captions(pairs: pd.DataFrame, choice: CaptionChoice, num_captions: int | None, seed: int) -> pd.DataFrame:
    """`caption_id, image_id, caption` of `num_captions` captions drawn without replacement; None, or more than there are: all.

    `one_an_image`: one of each image's captions. `pool`: any, so images may repeat. `unique`: captions that differ in more
    than case and spaces, each with the first image that has it. The order is random too: the first ones are a fair sample.
    """
    if choice == "unique":
        pairs = pairs[~_normalised(pairs["caption"]).duplicated()]
    shuffled = pairs.iloc[numpy_generator(seed, "evaluation captions").permutation(len(pairs))]
    if choice == "one_an_image":
        shuffled = shuffled.drop_duplicates("image_id")
    chosen = shuffled.head(len(shuffled) if num_captions is None else num_captions).rename(columns={"pair_id": "caption_id"})
    return chosen[["caption_id", "image_id", "caption"]].reset_index(drop=True)


def _normalised(captions: pd.Series) -> pd.Series:
    return captions.str.split().str.join(" ").str.lower()
