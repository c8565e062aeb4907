"""Rule: the image cannot be opened."""

import os
import re
from concurrent.futures import ThreadPoolExecutor

import pandas as pd

from dalle.data.image_files import load_image
from dalle.progress import track

ADDRESS = re.compile(r" <[\w.]+ object at 0x[0-9a-f]+>")  # in Pillow's words; another one each time


def undecodable(manifest: pd.DataFrame) -> pd.Series:
    """Images that do not decode to the last pixel: a file cut short still has a good header. Reads every image once."""
    places = manifest[["file", "offset", "num_bytes"]]
    distinct = list(dict.fromkeys(places.itertuples(index=False, name=None)))
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        checked = track(pool.map(_explain, distinct), what="decode", unit="images", total=len(distinct))
        details = dict(zip(distinct, checked, strict=True))
    return pd.Series([details[place] for place in places.itertuples(index=False, name=None)], index=manifest.index, dtype=str)


def _explain(place: tuple[str, int, int]) -> str:
    try:
        load_image(*place)
    except ValueError as error:
        return ADDRESS.sub("", str(error))
    return ""
