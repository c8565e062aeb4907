"""A small contrastive model on the kept pairs, for reranking (2.6; the paper takes a pretrained one)."""

from pathlib import Path

from dalle.clip.train import Pool, train_clip
from dalle.data.bpe import CaptionTokenizer
from dalle.data.manifest import read_manifest
from dalle.data.token_store import open_token_store
from dalle.dvae.model import load_dvae
from dalle.generation.clip_pool import make_pool
from dalle.prior.kinds import load_prior
from dalle.randomness import derive_seed
from dalle.training.model_folder import save_model
from harness.stage import Stage, run_stage


def main(stage: Stage) -> None:
    config = stage.params.train_clip
    clip, metrics = train_clip(
        read_manifest(Path("data/filtered/pairs.parquet")),
        CaptionTokenizer.load(Path("models/tokenizer")),
        config,
        image_size=stage.params.image_size,
        seed=derive_seed(stage.params.training_seed, "train_clip"),
        options=stage.options,
        checkpoint=stage.checkpoint,
        log=stage.log,
        pool=pool_of(stage),
    )
    with stage.output("models/clip") as folder:
        save_model(clip, clip.config, folder)
    stage.throughput(images_per_second=stage.log.updates_per_second() * config.optim.batch_size)
    stage.finish(metrics)


def pool_of(stage: Stage) -> Pool | None:
    """The pictures that generation makes of training pairs, where the params ask for some."""
    config = stage.params.train_clip.negatives
    if not config.pictures:
        return None
    store = open_token_store(Path("data/tokens"))
    rows, images = make_pool(
        store,
        CaptionTokenizer.load(Path("models/tokenizer")),
        load_prior(Path("models/prior")),
        load_dvae(Path("models/dvae")),
        config,
        seed=derive_seed(stage.params.seed, "train_clip"),
        batch_size=stage.params.sample.batch_size,
        device=stage.options.device,
        work_folder=stage.scratch,
    )
    return Pool(pair_ids=store.pairs["pair_id"].to_numpy()[rows], images=images)


if __name__ == "__main__":
    run_stage(main)
