"""What a search found, on disk: every evaluation image beside its nearest training image, and the list of those seen."""

import json
import os
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from dalle.overlap.search import Nearest

COLUMNS = ("image_id", "nearest", "similarity", "mirrored")


class Found(NamedTuple):
    """One domain's images that were seen, and the `rate` of them: their nearest training image is at least `threshold` near."""

    threshold: float
    num_images: int
    num_training_images: int
    image_ids: list[str]

    @property
    def rate(self) -> float:
        return len(self.image_ids) / self.num_images


def nearest_table(image_ids: pd.Series, pair_ids: pd.Series, found: Nearest) -> pd.DataFrame:
    """A row an evaluation image, closest first: `image_id, nearest` (a pair_id of training), `similarity, mirrored`."""
    table = pd.DataFrame(
        {
            "image_id": image_ids.to_numpy(),
            "nearest": pair_ids.to_numpy()[found.index],
            # as it is written, so that a threshold decides the same before and after
            "similarity": found.similarity.round(6),
            "mirrored": found.mirrored,
        }
    )
    return table.sort_values("similarity", ascending=False, kind="stable", ignore_index=True)


def overlap_of(table: pd.DataFrame, threshold: float, num_training_images: int) -> Found:
    """Those of `nearest_table` at or above the threshold, in its order."""
    image_ids = table[table["similarity"] >= threshold]["image_id"].tolist()
    return Found(threshold, len(table), num_training_images, image_ids)


def write_table(table: pd.DataFrame, path: Path) -> None:
    temporary = path.with_name(path.name + ".tmp")
    table.to_csv(temporary, index=False, float_format="%.6f", lineterminator="\n")
    os.replace(temporary, path)


def read_table(path: Path) -> pd.DataFrame:
    """What `write_table` wrote; other columns, a similarity that is no number or an order not by it is a `ValueError`."""
    frame = pd.read_csv(path, dtype={"image_id": str, "nearest": str}, keep_default_na=False)
    if tuple(frame.columns) != COLUMNS:
        raise ValueError(f"{path}: expected the columns {', '.join(COLUMNS)}, found {', '.join(map(str, frame.columns))}")
    similarity = pd.to_numeric(frame["similarity"], errors="coerce")
    if similarity.isna().any() or (np.diff(similarity) > 0).any():
        raise ValueError(f"{path}: similarity must be numbers that fall from row to row")
    return frame.assign(similarity=similarity)


def write_found(found: Found, path: Path) -> None:
    """JSON with the ids, as `dalle evaluate` and the evaluation read them, under their rate and what it is of."""
    summary = {
        "rate": found.rate,
        "threshold": found.threshold,
        "num_images": found.num_images,
        "num_training_images": found.num_training_images,
        "image_ids": found.image_ids,
    }
    temporary = path.with_name(path.name + ".tmp")
    temporary.write_text(json.dumps(summary, indent=1) + "\n")
    os.replace(temporary, path)


def read_found(path: Path) -> Found:
    """What `write_found` wrote; anything else is a `ValueError` that names the file."""
    try:
        summary = json.loads(path.read_text())
        ids = [str(image_id) for image_id in summary["image_ids"]]
        numbers = int(summary["num_images"]), int(summary["num_training_images"])
        return Found(float(summary["threshold"]), *numbers, ids)
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{path}: not what find_overlap writes ({type(error).__name__}: {error})") from None
