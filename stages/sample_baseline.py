"""A baseline's picture for each of the captions that DALL-E draws: one, since reranking is no part of the GANs (3.1)."""

from pathlib import Path

import pandas as pd

from dalle.baselines.dfgan.sampling import generate, load_generator
from dalle.baselines.samples import write_samples
from dalle.randomness import derive_seed
from harness.sentence_encoders import saved_encoder
from harness.stage import Stage, run_stage


def main(stage: Stage) -> None:
    name, _, domain = stage.item.partition("-")
    assert name == "dfgan", "the only baseline that params.yaml can name"
    config, folder = stage.params.sample_baseline, Path("models/baselines", stage.item)
    captions = pd.read_csv(f"samples/{domain}/captions.csv", dtype=str, keep_default_na=False)
    encode = saved_encoder(stage.params.train_baseline.dfgan.text_encoder, folder, stage.options.device)
    images = generate(
        load_generator(folder),
        encode(captions["caption"].tolist()),
        captions["caption_id"].tolist(),
        truncation=config.truncation,
        seed=derive_seed(stage.params.training_seed, "sample_baseline", stage.item),
        batch_size=config.batch_size,
        device=stage.options.device,
    )
    with stage.output(f"rivals/{domain}/{name}") as out:
        write_samples(out, captions, images)
    stage.finish({"images/total": len(images)})


if __name__ == "__main__":
    run_stage(main)
