"""Every kept image as dVAE codes on disk, once, so that the prior never runs the dVAE (2.2)."""

import functools
import math
import time
from pathlib import Path

import torch

from dalle.data.manifest import iterate_manifest
from dalle.data.token_shards import join_shards, write_shards
from dalle.dvae.model import load_dvae
from dalle.dvae.quality import codebook_use
from dalle.generation.encoding import encode_views
from dalle.randomness import derive_seed
from dalle.training.model_folder import weights_sha256
from harness.stage import Stage, run_stage


def main(stage: Stage) -> None:
    config, dvae = stage.params.precompute_tokens, load_dvae(Path("models/dvae"))
    encode = functools.partial(
        encode_views,
        dvae,
        num_views=config.views,
        codes=config.codes,
        seed=derive_seed(stage.params.training_seed, "precompute_tokens"),
        batch_size=config.batch_size,
        device=stage.options.device,
        precision=config.precision,
    )
    sizes = {"codebook_size": dvae.config.codebook_size, "grid_size": dvae.config.grid_size}
    parts, start = iterate_manifest(Path("data/filtered/pairs.parquet")), time.monotonic()
    shards = write_shards(parts, stage.scratch, encode, pairs_per_shard=config.pairs_per_shard, **sizes)
    rate = shards.num_encoded * config.views / (time.monotonic() - start)
    stage.throughput(images_per_second=rate if shards.num_encoded == shards.num_pairs else math.nan)
    with stage.output("data/tokens") as folder:
        digest = weights_sha256(Path("models/dvae"))
        join_shards(stage.scratch, shards.num_shards, folder, views=config.views, **sizes, dvae_sha256=digest)
    used, perplexity = codebook_use(torch.from_numpy(shards.code_counts))
    stage.finish(
        {
            "tokens/pairs": shards.num_pairs,
            "tokens/views": config.views,
            "tokens/codebook_used": used,
            "tokens/codebook_perplexity": perplexity,
        }
    )


if __name__ == "__main__":
    run_stage(main)
