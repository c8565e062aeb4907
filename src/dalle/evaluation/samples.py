"""Reranked samples on disk -> distinct images and who won among the first N candidates."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from dalle.evaluation.picture_files import ImageFiles


@dataclass(frozen=True, kw_only=True)
class RerankedSamples:
    """Distinct winners (uint8 (M, H, W, 3)) with their captions, and for each of C captions and each N the winner's row.

    `winners` is (C, len(sweep)): winners[i, j] is the row of `images` that won among the first sweep[j] candidates. `keys`
    are (caption_id, candidate) of every image.
    """

    images: np.ndarray
    keys: list[tuple[str, int]]
    captions: list[str]
    winners: np.ndarray
    sweep: tuple[int, ...]


def read_reranked(folder: Path) -> RerankedSamples:
    """Read `samples.csv`, its images (paths relative to `folder`) and `ranking.csv`; a gap between them is a ValueError.

    So is a missing column, and an image that is unreadable, not plain RGB, or of another size than the rest.
    """
    samples = _read_csv(folder / "samples.csv", ("caption_id", "caption", "candidate", "file"))
    ranking = _read_csv(folder / "ranking.csv", ("caption_id", "candidates", "candidate"))
    return RerankedSamples(
        images=ImageFiles([folder / file for file in samples["file"]])[:],
        keys=list(zip(samples["caption_id"], samples["candidate"].tolist(), strict=True)),
        captions=samples["caption"].tolist(),
        winners=winner_rows(ranking, samples),
        sweep=tuple(sorted(ranking["candidates"].unique().tolist())),
    )


def winner_rows(ranking: pd.DataFrame, samples: pd.DataFrame) -> np.ndarray:
    """Rows of `samples`, (C, N of the sweep ascending), captions in the order `samples` first names them."""
    rows = {key: row for row, key in enumerate(zip(samples["caption_id"], samples["candidate"], strict=True))}
    sweep = sorted(ranking["candidates"].unique())
    chosen = {(row.caption_id, row.candidates): row.candidate for row in ranking.itertuples()}
    winners = []
    for caption_id in samples["caption_id"].unique():
        for n in sweep:
            winner = chosen.get((caption_id, n))
            if winner is None:
                raise ValueError(f"ranking.csv: caption {caption_id} has no winner among the first {n}; each needs every N")
            if (caption_id, winner) not in rows:
                raise ValueError(f"samples.csv: candidate {winner} of caption {caption_id} won among {n} and is not listed")
            winners.append(rows[caption_id, winner])
    return np.array(winners, dtype=np.int64).reshape(-1, len(sweep))


def _read_csv(path: Path, columns: tuple[str, ...]) -> pd.DataFrame:
    """A table with these columns and one row at least: counts are whole numbers, the rest is text."""
    if not path.is_file():
        raise ValueError(f"{path}: missing; reranked samples are a folder with samples.csv, ranking.csv and the images")
    text = dict.fromkeys(("caption_id", "caption", "file"), str)
    table = pd.read_csv(path, dtype=text, keep_default_na=False)
    missing = [name for name in columns if name not in table]
    if missing:
        raise ValueError(f"{path}: columns {missing} are missing (it has: {', '.join(table.columns)})")
    for name in {"candidates", "candidate"} & set(columns):
        if not pd.api.types.is_integer_dtype(table[name]):
            raise ValueError(f"{path}: column {name} must hold whole numbers")
    if table.empty:
        raise ValueError(f"{path}: holds no rows")
    return table
