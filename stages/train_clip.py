"""A small contrastive model on the kept pairs, for reranking (2.6; the paper takes a pretrained one)."""

from pathlib import Path

from dalle.clip.train import train_clip
from dalle.data.bpe import CaptionTokenizer
from dalle.data.manifest import read_manifest
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
    )
    with stage.output("models/clip") as folder:
        save_model(clip, clip.config, folder)
    stage.throughput(images_per_second=stage.log.updates_per_second() * config.optim.batch_size)
    stage.finish(metrics)


if __name__ == "__main__":
    run_stage(main)
