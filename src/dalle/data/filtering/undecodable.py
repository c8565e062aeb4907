"""Rule: the image cannot be opened."""

import os
import re
from concurrent.futures import ThreadPoolExecutor

import pandas as pd

from dalle.data.image_files import load_image
from dalle.data.manifest import Place, places
from dalle.progress import track

ADDRESS = re.compile(r" <[\w.]+ object at 0x[0-9a-f]+>")  # in Pillow's words; another one each time


def undecodable(manifest: pd.DataFrame) -> pd.Series:
    """Images that do not decode to the last pixel: a file cut short still has a good header. Reads every image once."""
    pictures = places(manifest)
    distinct = list(dict.fromkeys(pictures))
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        checked = track(pool.map(_explain, distinct), what="decode", unit="images", total=len(distinct))
        details = dict(zip(distinct, checked, strict=True))
    return pd.Series([details[place] for place in pictures], index=manifest.index, dtype=str)


def _explain(place: Place) -> str:
    try:
        load_image(*place)
    except ValueError as error:
        return ADDRESS.sub("", str(error))
    return ""
