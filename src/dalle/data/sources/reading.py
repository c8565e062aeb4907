"""Any corpus from the folder that it lies in, whatever its layout, as manifests with the splits that the pipeline expects."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pandas as pd

from dalle.data.sources.captioned_folder import read_captioned_folder
from dalle.data.sources.coco import read_coco
from dalle.data.sources.cub import read_cub
from dalle.data.sources.division import as_corpus
from dalle.data.sources.layouts import CAPTIONED, COCO, CUB, Layout
from dalle.data.sources.options import SourceOptions
from dalle.data.sources.webdataset import iterate_webdataset

Parts = Iterator[tuple[pd.DataFrame, list[str]]]  # (manifest, problems)


def read_corpus(
    corpus: str, folder: Path, layout: Layout, options: SourceOptions, split_of: Callable[[str], str], finished: Path
) -> Parts:
    """The corpus part by part; `split_of` gives the split of a captioned folder's image that states none, by its checksum.

    `finished` keeps what was read of shards for a second attempt.
    """
    if layout is CAPTIONED:
        manifest, problems = read_captioned_folder(folder, split_of)
        return iter([(as_corpus(manifest, corpus), problems)])
    if layout is COCO:
        return iter([read_coco(folder, options.coco_year)])
    if layout is CUB:
        return iter([read_cub(folder, options.cub_split, options.cub_crop)])
    return iterate_webdataset(folder, finished)
