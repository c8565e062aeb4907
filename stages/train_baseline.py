"""A GAN that the paper is compared with, trained on a domain's own training split, as in the literature (3.1)."""

import shutil
from pathlib import Path

import numpy as np

from dalle.baselines.dfgan.model import Generator
from dalle.baselines.dfgan.sampling import generate
from dalle.baselines.dfgan.train import train_dfgan
from dalle.data.manifest import read_manifest
from dalle.data.splits import assign_split
from dalle.randomness import derive_seed
from dalle.training.model_folder import save_model
from harness.sentence_encoders import DAMSM, trained_encoder
from harness.stage import Stage, run_stage

NUM_SHOWN = 8


def main(stage: Stage) -> None:
    name, _, domain = stage.item.partition("-")
    assert name == "dfgan", "the only baseline that params.yaml can name"
    config, seed = stage.params.train_baseline.dfgan, derive_seed(stage.params.training_seed, "train_baseline", stage.item)
    manifest = read_manifest(Path(f"data/prepared/{domain}.parquet"))
    pairs = manifest[manifest["split"] == "train"].reset_index(drop=True)
    split_seed = derive_seed(stage.params.seed, "train_baseline", stage.item)
    pairs["split"] = assign_split(pairs["image_id"], config.valid_fraction, split_seed)
    encode, text_metrics = trained_encoder(stage, config.text_encoder, pairs[pairs["split"] == "train"], seed)
    shown = pairs[pairs["split"] == "valid"].drop_duplicates("image_id").head(NUM_SHOWN)
    shown_ids, shown_sentences = shown["pair_id"].tolist(), encode(shown["caption"].tolist())

    def show(generator: Generator, step: int) -> None:
        drawn = {"truncation": 1.0, "seed": seed, "batch_size": NUM_SHOWN, "device": stage.options.device}
        images = generate(generator, shown_sentences, shown_ids, **drawn)
        stage.log.image("samples", step, np.concatenate(list(images), axis=1))

    generator, metrics = train_dfgan(
        pairs,
        encode(pairs["caption"].tolist()),
        config,
        image_size=stage.params.image_size,
        seed=seed,
        options=stage.options,
        checkpoint=stage.checkpoint,
        log=stage.log,
        show=show,
    )
    with stage.output(f"models/baselines/{stage.item}") as folder:
        save_model(generator, generator.config, folder)
        if config.text_encoder == "damsm":
            shutil.copytree(stage.scratch / DAMSM, folder / DAMSM)
    stage.throughput(images_per_second=stage.log.updates_per_second() * config.optim.batch_size)
    stage.finish({**metrics, **text_metrics})


if __name__ == "__main__":
    run_stage(main)
