"""Reranked candidates on disk: who won among the first N, and the winners' pictures (PAPER 5)."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image

from dalle.clip.ranking import distinct_winners
from dalle.dvae.model import DVAE
from dalle.generation.decoding import decode_codes


def write_reranked(
    folder: Path,
    captions: pd.DataFrame,
    candidates: np.ndarray,
    scores: np.ndarray,
    chosen: np.ndarray,
    sweep: Sequence[int],
    dvae: DVAE,
    device: str,
) -> None:
    """`scores.npy`, `ranking.csv` (who won among the first N), `samples.csv` and a PNG of every distinct winner.

    `captions` has `caption_id, image_id, caption`; `chosen` (C, len(sweep)) holds candidate numbers.
    """
    (folder / "images").mkdir(parents=True)
    np.save(folder / "scores.npy", scores)
    ranking = [
        (captions["caption_id"][row], n, candidate, f"{scores[row, candidate]:.6f}")
        for row, winners_of_row in enumerate(chosen.tolist())
        for n, candidate in zip(sweep, winners_of_row, strict=True)
    ]
    columns = ["caption_id", "candidates", "candidate", "score"]
    pd.DataFrame(ranking, columns=columns).to_csv(folder / "ranking.csv", index=False)
    distinct = distinct_winners(chosen)
    rows, numbers = (np.array(column) for column in zip(*distinct, strict=True))
    samples = captions.iloc[rows].reset_index(drop=True)
    samples["candidate"] = numbers
    samples["file"] = [f"images/{name}-{number}.png" for name, number in zip(samples["caption_id"], numbers, strict=True)]
    for file, image in zip(samples["file"], decode_codes(dvae, candidates[rows, numbers], 256, device), strict=True):
        Image.fromarray(image).save(folder / file)
    samples.to_csv(folder / "samples.csv", index=False)
