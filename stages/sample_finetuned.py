"""The fine-tuned prior draws the captions that the other models draw; CLIP's best of all candidates are kept (2.6, 3.1)."""

import math
import time
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from dalle.clip.model import load_clip
from dalle.clip.ranking import winners
from dalle.clip.scoring import clip_scores
from dalle.data.bpe import CaptionTokenizer
from dalle.data.text_tokens import caption_text_tokens
from dalle.dvae.model import load_dvae
from dalle.generation.decoding import decode_codes
from dalle.generation.reranking import write_reranked
from dalle.generation.sampling import sample_candidates
from dalle.prior.kinds import load_prior
from dalle.randomness import derive_seed
from harness.stage import Stage, run_stage


def main(stage: Stage) -> None:
    domain = stage.item
    captions = pd.read_csv(f"samples/{domain}/captions.csv", dtype=str, keep_default_na=False)
    tokenizer = CaptionTokenizer.load(Path("models/tokenizer"))
    candidates = draw(stage, captions, tokenizer)
    config, device = stage.params.rerank, stage.options.device
    clip, dvae = load_clip(Path("models/clip")).to(device), load_dvae(Path("models/dvae"))
    tokens = candidates.reshape(-1, candidates.shape[-1])
    scores = clip_scores(
        clip,
        tokenizer,
        captions["caption"].tolist(),
        lambda rows: decode_codes(dvae, tokens[rows], config.batch_size, device),
        num_candidates=candidates.shape[1],
        batch_size=config.batch_size,
        precision=config.precision,
    )
    largest = config.sweep[-1:]
    best = winners(scores, largest)
    with stage.output(f"rivals/{domain}/dalle_finetuned") as folder:
        write_reranked(folder, captions, candidates, scores, best, largest, dvae, device)
    mean = float(np.take_along_axis(scores, best, axis=1).mean())
    stage.finish({f"clip_score/best_of_{largest[0]}": mean, "images/total": scores.size, "captions/total": len(captions)})


def draw(stage: Stage, captions: pd.DataFrame, tokenizer: CaptionTokenizer) -> np.ndarray:
    """Candidates as `sample` draws them, by the same random numbers: where the prior has not changed, neither has a picture."""
    config, domain, caption_ids = stage.params.sample, stage.item, captions["caption_id"].tolist()
    prior = load_prior(Path("models/finetuned", domain))
    text = caption_text_tokens(
        tokenizer,
        caption_ids,
        captions["caption"].tolist(),
        text_length=prior.config.text_length,
        long_captions=config.long_captions,
    )
    resumed, start = any(stage.scratch.iterdir()), time.monotonic()
    candidates = sample_candidates(
        prior,
        torch.from_numpy(text.text_tokens),
        caption_ids,
        num_candidates=config.candidates,
        temperature=config.temperature,
        top_k=config.top_k,
        top_p=config.top_p,
        seed=derive_seed(stage.params.training_seed, "sample", domain),
        batch_size=config.batch_size,
        device=stage.options.device,
        precision=config.precision,
        work_folder=stage.scratch,
    )
    rate = candidates.shape[0] * candidates.shape[1] / (time.monotonic() - start)
    stage.throughput(images_per_second=math.nan if resumed else rate)
    return candidates


if __name__ == "__main__":
    run_stage(main)
