"""The pairs that a prior goes on training with: a domain's own, those of its evaluation left out."""

import pandas as pd

from dalle.data.evaluation_captions import EVALUATION_SPLITS
from dalle.data.splits import assign_split


def training_split(manifest: pd.DataFrame, domain: str, valid_fraction: float, seed: int) -> pd.DataFrame:
    """The rows that are not evaluated, as 'train' or, for about `valid_fraction` of the images, 'valid'."""
    pairs = manifest[manifest["split"] != EVALUATION_SPLITS[domain]].reset_index(drop=True)
    if pairs.empty:
        raise ValueError(f"the manifest of {domain} has nothing beside its evaluation split: no pairs to fine-tune on")
    pairs["split"] = assign_split(pairs["image_id"], valid_fraction, seed)
    counts = pairs.drop_duplicates("image_id")["split"].value_counts()
    for split in ("train", "valid"):
        if not counts.get(split, 0):
            raise ValueError(
                f"finetune_prior.valid_fraction {valid_fraction} leaves no image of {domain} for '{split}': "
                f"its training split has {counts.sum()}"
            )
    return pairs
