"""The trained prior goes on training on a domain's own training split, which the paper leaves open (3.1)."""

import functools
import shutil
from pathlib import Path

from dalle.data.bpe import CaptionTokenizer
from dalle.data.manifest import read_manifest
from dalle.data.token_shards import join_shards, write_shards
from dalle.data.token_store import TokenStore, open_token_store
from dalle.dvae.model import load_dvae
from dalle.finetuning.split import training_split
from dalle.finetuning.train import finetune_prior
from dalle.generation.encoding import encode_views
from dalle.prior.kinds import load_prior
from dalle.randomness import derive_seed
from dalle.training.model_folder import save_model, weights_sha256
from harness.stage import Stage, run_stage


def main(stage: Stage) -> None:
    config, domain = stage.params.finetune_prior, stage.item
    seed = derive_seed(stage.params.training_seed, "finetune_prior", domain)
    prior, store = load_prior(Path("models/prior")), domain_tokens(stage, seed)
    metrics = finetune_prior(
        prior,
        store,
        CaptionTokenizer.load(Path("models/tokenizer")),
        stage.params.train_prior,
        config.optim,
        dvae_sha256=weights_sha256(Path("models/dvae")),
        seed=seed,
        options=stage.options,
        checkpoint=stage.checkpoint,
        log=stage.log,
    )
    with stage.output(f"models/finetuned/{domain}") as folder:
        save_model(prior, prior.config, folder)
    sequence = prior.config.text_length + prior.config.num_positions
    stage.throughput(tokens_per_second=stage.log.updates_per_second() * config.optim.batch_size * sequence)
    splits = store.pairs["split"]
    stage.finish({"pairs/train": int((splits == "train").sum()), "pairs/valid": int((splits == "valid").sum()), **metrics})


def domain_tokens(stage: Stage, seed: int) -> TokenStore:
    """The domain's training split as tokens, with the views of `precompute_tokens`: kept until the stage ends, then deleted."""
    config, dvae, domain = stage.params.precompute_tokens, load_dvae(Path("models/dvae")), stage.item
    manifest = read_manifest(Path(f"data/prepared/{domain}.parquet"))
    split_seed = derive_seed(stage.params.seed, "finetune_prior", domain)
    pairs = training_split(manifest, domain, stage.params.finetune_prior.valid_fraction, split_seed)
    encode = functools.partial(
        encode_views,
        dvae,
        num_views=config.views,
        codes=config.codes,
        seed=seed,
        batch_size=config.batch_size,
        device=stage.options.device,
        precision=config.precision,
    )
    sizes = {"codebook_size": dvae.config.codebook_size, "grid_size": dvae.config.grid_size}
    parts, folder = stage.scratch / "shards", stage.scratch / "tokens"
    shards = write_shards([pairs], parts, encode, pairs_per_shard=config.pairs_per_shard, **sizes)
    digest = weights_sha256(Path("models/dvae"))
    shutil.rmtree(folder, ignore_errors=True)  # of an attempt that was killed
    join_shards(parts, shards.num_shards, folder, views=config.views, **sizes, dvae_sha256=digest)
    return open_token_store(folder)


if __name__ == "__main__":
    run_stage(main)
