"""N candidates for each of a domain's evaluation captions, as image tokens (2.6)."""

import math
import sys
import time
from pathlib import Path

import numpy as np
import torch

from dalle.data.bpe import CaptionTokenizer
from dalle.data.evaluation_captions import choose_captions, evaluation_pairs
from dalle.data.manifest import read_manifest
from dalle.data.text_tokens import caption_text_tokens
from dalle.generation.sampling import sample_candidates
from dalle.prior.kinds import load_prior
from dalle.randomness import derive_seed
from harness.stage import Stage, run_stage


def main(stage: Stage) -> None:
    config, domain = stage.params.sample, stage.item
    pairs = evaluation_pairs(read_manifest(Path(f"data/prepared/{domain}.parquet")), domain)
    captions_seed = derive_seed(stage.params.seed, "sample", domain)
    captions = choose_captions(pairs, getattr(config.captions, domain), config.num_captions, captions_seed)
    tokenizer = CaptionTokenizer.load(Path("models/tokenizer"))
    prior = load_prior(Path("models/prior"))
    text = caption_text_tokens(
        tokenizer,
        captions["caption_id"].tolist(),
        captions["caption"].tolist(),
        text_length=prior.config.text_length,
        long_captions=config.long_captions,
    )
    if text.warning:
        print(f"WARNING sample@{domain}: {text.warning}", file=sys.stderr)
    resumed, start = any(stage.scratch.iterdir()), time.monotonic()
    candidates = sample_candidates(
        prior,
        torch.from_numpy(text.text_tokens),
        captions["caption_id"].tolist(),
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
    images = candidates.shape[0] * candidates.shape[1]
    stage.throughput(images_per_second=math.nan if resumed else images / (time.monotonic() - start))
    with stage.output(f"samples/{domain}") as folder:
        folder.mkdir(parents=True)
        np.save(folder / "candidates.npy", candidates)
        captions.to_csv(folder / "captions.csv", index=False)
    stage.finish({"images/total": images, "captions/total": len(captions), "captions/truncated": text.num_truncated})


if __name__ == "__main__":
    run_stage(main)
