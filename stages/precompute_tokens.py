"""Every kept image as dVAE codes on disk, once, so that the prior never runs the dVAE (2.2)."""

import time
from pathlib import Path

import numpy as np
import torch

from dalle.data.manifest import read_manifest
from dalle.data.token_store import write_token_store
from dalle.dvae.model import load_dvae
from dalle.dvae.quality import codebook_use
from dalle.generation.encoding import encode_views
from dalle.randomness import derive_seed
from dalle.training.model_folder import weights_sha256
from harness.stage import Stage, run_stage


def main(stage: Stage) -> None:
    config = stage.params.precompute_tokens
    pairs = read_manifest(Path("data/filtered/pairs.parquet"))
    dvae = load_dvae(Path("models/dvae"))
    start = time.monotonic()
    image_tokens = encode_views(
        dvae,
        pairs,
        num_views=config.views,
        codes=config.codes,
        seed=derive_seed(stage.params.seed, "precompute_tokens"),
        batch_size=config.batch_size,
        device=stage.options.device,
        precision=config.precision,
    )
    stage.throughput(images_per_second=len(pairs) * config.views / (time.monotonic() - start))
    with stage.output("data/tokens") as folder:
        sizes = dvae.config.codebook_size, dvae.config.grid_size
        write_token_store(folder, image_tokens, pairs, *sizes, weights_sha256(Path("models/dvae")))
    used, perplexity = codebook_use(torch.from_numpy(np.bincount(image_tokens.ravel(), minlength=dvae.config.codebook_size)))
    stage.finish(
        {
            "tokens/pairs": len(pairs),
            "tokens/views": config.views,
            "tokens/codebook_used": used,
            "tokens/codebook_perplexity": perplexity,
        }
    )


if __name__ == "__main__":
    run_stage(main)
