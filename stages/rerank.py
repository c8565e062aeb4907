"""Candidates decoded and scored by CLIP; the winner among the first N for every N of the sweep (2.6, Fig. 6, 9c)."""

import time
from pathlib import Path

import numpy as np
import pandas as pd

from dalle.clip.model import load_clip
from dalle.clip.ranking import winners
from dalle.clip.scoring import clip_scores
from dalle.data.bpe import CaptionTokenizer
from dalle.dvae.model import load_dvae
from dalle.generation.decoding import decode_codes
from dalle.generation.reranking import write_reranked
from harness.stage import Stage, run_stage


def main(stage: Stage) -> None:
    config, domain = stage.params.rerank, stage.item
    captions = pd.read_csv(Path(f"samples/{domain}/captions.csv"), dtype=str, keep_default_na=False)
    candidates = np.load(Path(f"samples/{domain}/candidates.npy"), mmap_mode="r")
    clip, dvae, device = load_clip(Path("models/clip")), load_dvae(Path("models/dvae")), stage.options.device
    tokens = candidates.reshape(-1, candidates.shape[-1])
    start = time.monotonic()
    scores = clip_scores(
        clip.to(device),
        CaptionTokenizer.load(Path("models/tokenizer")),
        captions["caption"].tolist(),
        lambda rows: decode_codes(dvae, tokens[rows], config.batch_size, device),
        num_candidates=candidates.shape[1],
        batch_size=config.batch_size,
        precision=config.precision,
    )
    stage.throughput(images_per_second=scores.size / (time.monotonic() - start))
    chosen = winners(scores, config.sweep)
    with stage.output(f"reranked/{domain}") as folder:
        write_reranked(folder, captions, candidates, scores, chosen, config.sweep, dvae, device)
    best = np.take_along_axis(scores, chosen, axis=1)
    metrics = {f"clip_score/best_of_{n}": float(best[:, column].mean()) for column, n in enumerate(config.sweep)}
    stage.finish({**metrics, "images/total": scores.size})


if __name__ == "__main__":
    run_stage(main)
