"""What the published corpora hold, to tell a whole one from a part of it."""

from collections.abc import Iterator, Mapping
from typing import NamedTuple

import pandas as pd

from dalle.data.sources.cub_splits import CubSplit
from dalle.data.sources.options import SourceOptions


class Size(NamedTuple):
    """Images and captions of one split; CUB's ten captions an image are Reed et al.'s."""

    images: int
    captions: int


Sizes = Mapping[str, Size]  # by split
COCO: Mapping[int, Sizes] = {
    2014: {"train": Size(82_783, 414_113), "val": Size(40_504, 202_654)},
    2017: {"train": Size(118_287, 591_753), "val": Size(5_000, 25_014)},
}
BY_CLASS = {"train": Size(8_855, 88_550), "test": Size(2_933, 29_330)}
CUB: Mapping[CubSplit, Sizes] = {
    "testclasses": BY_CLASS,
    "filenames": BY_CLASS,
    "train_test_split": {"train": Size(5_994, 59_940), "test": Size(5_794, 57_940)},
}
CUB_CLASSES: Mapping[CubSplit, Mapping[str, int]] = dict.fromkeys(("testclasses", "filenames"), {"train": 150, "test": 50})


def original_sizes(domain: str, options: SourceOptions) -> Sizes:
    return COCO[options.coco_year] if domain == "coco" else CUB[options.cub_split]


def compared(manifest: pd.DataFrame, sizes: Sizes) -> Iterator[str]:
    """A sentence a split: as many images and captions as the original's, or how many of them. Subsets are welcome."""
    for split, original in sizes.items():
        rows = manifest[manifest["split"] == split]
        found = Size(rows["image_id"].nunique(), len(rows))
        if found == original:
            yield f"{split} has all {found.images:,} images and {found.captions:,} captions of the original"
        else:
            yield (
                f"WARNING: {split} has {found.images:,} images and {found.captions:,} captions, the original "
                f"{original.images:,} and {original.captions:,}: numbers of a part do not compare with published ones"
            )


def compared_classes(manifest: pd.DataFrame, split: CubSplit) -> Iterator[str]:
    """A warning where CUB's classes, of which images are in folders, are not divided into 150 and 50."""
    for name, original in CUB_CLASSES.get(split, {}).items():
        files = manifest["file"][manifest["split"] == name]
        classes = files.str.split("/").str[-2].nunique()
        if classes != original:
            yield f"WARNING: {name} has {classes} classes, the original {original}"
