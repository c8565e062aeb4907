"""Pictures that are evaluated or completed, decoded once to their end before anything is trained."""

import os
from concurrent.futures import ThreadPoolExecutor

import pandas as pd

from dalle.data.image_files import open_rgb
from dalle.data.manifest import Place, places

SMALLEST = (8, 8)  # JPEG decodes at an eighth of its size: all its bytes are read, most of the arithmetic left out


def without_undecodable(manifest: pd.DataFrame, evaluated: pd.Series) -> tuple[pd.DataFrame, list[str]]:
    """The manifest without those `evaluated` pairs (bool, a row each) whose picture is cut short or damaged, and which.

    Pairs to train on are left to the filters, which do the same.
    """
    rows = manifest[evaluated].drop_duplicates("image_id")

    def complaint(place: Place) -> str | None:
        try:
            open_rgb(place.file, place.offset, place.num_bytes, SMALLEST)
        except ValueError as error:
            return str(error)
        return None

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        complaints = dict(zip(rows["image_id"], pool.map(complaint, places(rows)), strict=True))
    broken = {image_id: problem for image_id, problem in complaints.items() if problem}
    return manifest[~manifest["image_id"].isin(broken)].reset_index(drop=True), list(broken.values())
