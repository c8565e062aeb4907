"""A network that knows altered copies of pictures, for the overlap with the training set (3.2)."""

from pathlib import Path

from dalle.data.manifest import read_manifest
from dalle.overlap.train import train_detector
from dalle.randomness import derive_seed
from dalle.training.model_folder import save_model
from harness.stage import Stage, run_stage


def main(stage: Stage) -> None:
    config = stage.params.train_detector
    detector, metrics = train_detector(
        read_manifest(Path("data/filtered/pairs.parquet")),
        config,
        seed=derive_seed(stage.params.seed, "train_detector"),
        options=stage.options,
        checkpoint=stage.checkpoint,
        log=stage.log,
    )
    with stage.output("models/detector") as folder:
        save_model(detector, detector.config, folder)
    stage.throughput(images_per_second=stage.log.updates_per_second() * config.optim.batch_size)
    stage.finish(metrics)


if __name__ == "__main__":
    run_stage(main)
