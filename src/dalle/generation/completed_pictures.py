"""Completions on disk: every candidate as a picture, with its score and, where it can be told, whether it is as asked."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image

COLUMNS = ("caption_id", "image_id", "caption", "candidate", "file", "score", "as_asked")


@dataclass(frozen=True, kw_only=True)
class Completions:
    """N completions of each of C pictures: `images` uint8 (C, N, H, W, 3), `scores` (C, N) by CLIP.

    `pairs` has a row a picture with `caption_id, image_id, caption`; `as_asked` bool (C, N) is None where nobody can tell.
    """

    pairs: pd.DataFrame
    images: np.ndarray
    scores: np.ndarray
    as_asked: np.ndarray | None

    @property
    def best(self) -> np.ndarray:
        """The candidate with the highest score, (C,)."""
        return self.scores.argmax(axis=1)

    def candidate(self, number: int | np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
        """Images and judgements of one candidate of each picture: the same number for all, or a number each (C,)."""
        rows = np.arange(len(self.images))
        return self.images[rows, number], None if self.as_asked is None else self.as_asked[rows, number]


def write_completions(completions: Completions | None, folder: Path) -> None:
    """`samples.csv` with `COLUMNS` (a row a candidate, `as_asked` 1, 0 or empty) and a PNG for each of its rows.

    None, where there is no picture to complete, gives a table without rows.
    """
    (folder / "images").mkdir(parents=True)
    rows = []
    for index, pair in enumerate(completions.pairs.itertuples(index=False) if completions else ()):
        for number, image in enumerate(completions.images[index]):
            file = f"images/{pair.caption_id}-{number}.png"
            Image.fromarray(image).save(folder / file)
            told = "" if completions.as_asked is None else int(completions.as_asked[index, number])
            score = f"{completions.scores[index, number]:.6f}"
            rows.append((pair.caption_id, pair.image_id, pair.caption, number, file, score, told))
    pd.DataFrame(rows, columns=COLUMNS).to_csv(folder / "samples.csv", index=False)


def read_completions(folder: Path) -> Completions | None:
    """What `write_completions` wrote; None where there was no picture to complete."""
    text = dict.fromkeys(("caption_id", "image_id", "caption", "file", "as_asked"), str)
    samples = pd.read_csv(folder / "samples.csv", dtype=text, keep_default_na=False)
    if samples.empty:
        return None
    pairs = samples.drop_duplicates("caption_id")[["caption_id", "image_id", "caption"]].reset_index(drop=True)
    shape = (len(pairs), len(samples) // len(pairs))
    images = np.stack([np.asarray(Image.open(folder / file).convert("RGB")) for file in samples["file"]])
    told = samples["as_asked"].to_numpy()
    return Completions(
        pairs=pairs,
        images=images.reshape(*shape, *images.shape[1:]),
        scores=samples["score"].to_numpy(dtype=np.float32).reshape(shape),
        as_asked=(told == "1").reshape(shape) if (told != "").all() else None,
    )
