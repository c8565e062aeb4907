"""Candidates decoded and scored by CLIP; the winner among the first N for every N of the sweep (2.6, Fig. 6, 9c).

What the miniature world's captions ask for can be read off a picture: there each candidate is read while it is decoded.
"""

import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from dalle.clip.model import load_clip
from dalle.clip.ranking import winners
from dalle.clip.scoring import clip_scores
from dalle.data.bpe import CaptionTokenizer
from dalle.dvae.model import load_dvae
from dalle.generation.decoding import decode_codes
from dalle.generation.reranking import write_reranked
from dalle.miniworld.caption_reader import read_caption, shown
from dalle.processes import Processes
from harness.run_config import MINIWORLD
from harness.stage import Stage, run_stage

POOL_FROM = 4096  # candidates to read: below, processes take longer to start than they save


def main(stage: Stage) -> None:
    config, domain = stage.params.rerank, stage.item
    captions = pd.read_csv(Path(f"samples/{domain}/captions.csv"), dtype=str, keep_default_na=False)
    candidates = np.load(Path(f"samples/{domain}/candidates.npy"), mmap_mode="r")
    clip, dvae, device = load_clip(Path("models/clip")), load_dvae(Path("models/dvae")), stage.options.device
    tokens = candidates.reshape(-1, candidates.shape[-1])
    start = time.monotonic()
    told = np.zeros(candidates.shape[:2], dtype=bool)
    rendered = getattr(stage.params.prepare_data, domain) == MINIWORLD
    with Processes(torch.get_num_threads() if told.size >= POOL_FROM else 1) as processes:

        def decode(rows: slice) -> np.ndarray:
            return decode_codes(dvae, tokens[rows], config.batch_size, device)

        scores = clip_scores(
            clip.to(device),
            CaptionTokenizer.load(Path("models/tokenizer")),
            captions["caption"].tolist(),
            reading(decode, captions["caption"].tolist(), told, processes) if rendered else decode,
            num_candidates=candidates.shape[1],
            batch_size=config.batch_size,
            precision=config.precision,
        )
    stage.throughput(images_per_second=scores.size / (time.monotonic() - start))
    chosen = winners(scores, config.sweep)
    with stage.output(f"reranked/{domain}") as folder:
        write_reranked(folder, captions, candidates, scores, chosen, config.sweep, dvae, device)
        if rendered:
            np.save(folder / "shown.npy", told)
    best = np.take_along_axis(scores, chosen, axis=1)
    metrics = {f"clip_score/best_of_{n}": float(best[:, column].mean()) for column, n in enumerate(config.sweep)}
    stage.finish({**metrics, "images/total": scores.size})


def reading(
    decode: Callable[[slice], np.ndarray], captions: list[str], told: np.ndarray, processes: Processes
) -> Callable[[slice], np.ndarray]:
    """`decode`, and on the way what each picture shows into `told` bool (C, candidates): pixels exist for a batch at a time."""
    queries, num_candidates = [read_caption(caption) for caption in captions], told.shape[1]

    def decode_and_read(rows: slice) -> np.ndarray:
        images = decode(rows)
        asked = [queries[row // num_candidates] for row in range(rows.start, rows.stop)]
        told.reshape(-1)[rows] = shown(images, asked, processes)
        return images

    return decode_and_read


if __name__ == "__main__":
    run_stage(main)
