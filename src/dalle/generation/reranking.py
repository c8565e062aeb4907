"""Candidates as tokens -> CLIP scores -> the winners' pictures (PAPER 5)."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import torch
from PIL import Image

from dalle.clip.model import encode_images, images_to_tensor
from dalle.clip.ranking import distinct_winners
from dalle.clip.scoring import encode_captions
from dalle.data.bpe import CaptionTokenizer
from dalle.dvae.model import DVAE
from dalle.generation.decoding import decode_codes
from dalle.progress import track
from dalle.training.precision import autocast

if TYPE_CHECKING:
    import open_clip


@torch.inference_mode()
def score_candidates(
    clip: "open_clip.CLIP",
    tokenizer: CaptionTokenizer,
    dvae: DVAE,
    captions: Sequence[str],
    candidates: np.ndarray,
    *,
    batch_size: int,
    device: str,
    precision: str,
) -> np.ndarray:
    """Cosine similarities float32 (C, N) of captions with candidates, uint16 tokens (C, N, G*G).

    Pixels exist for one batch at a time: at the paper's scale all candidates of 30,000 captions would fill terabytes.
    """
    num_captions, num_candidates, num_cells = candidates.shape
    if len(captions) != num_captions:
        raise ValueError(f"{len(captions)} captions do not go with the candidates of {num_captions}")
    clip.to(device).eval()
    flat = candidates.reshape(-1, num_cells)
    scores = np.empty(len(flat), dtype=np.float32)
    with autocast(device, precision):
        text_embeddings = encode_captions(clip, tokenizer, captions, batch_size=batch_size)
        for start in track(range(0, len(flat), batch_size), what="reranking", unit=f"x {batch_size} images"):
            rows = slice(start, min(start + batch_size, len(flat)))
            images = decode_codes(dvae, np.asarray(flat[rows]), batch_size, device)
            image_embeddings = encode_images(clip, images_to_tensor(images).to(device))
            owners = torch.arange(rows.start, rows.stop, device=image_embeddings.device) // num_candidates
            scores[rows] = (image_embeddings * text_embeddings[owners]).sum(dim=-1).float().cpu().numpy()
    return scores.reshape(num_captions, num_candidates)


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
