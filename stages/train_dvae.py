"""Stage 1 of the paper: the discrete VAE on the kept images (2.1, App. A)."""

import dataclasses
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import torch

from dalle.data.images import Crop, ImageBatches, dvae_crop, evaluation_crop, load_evaluation_images
from dalle.data.manifest import one_row_per_image, read_manifest
from dalle.dvae.train import SCRATCH, train_dvae
from dalle.dvae.validation import reconstructions
from dalle.evaluation.features import load_extractor
from dalle.evaluation.fid import FrechetReference
from dalle.randomness import derive_seed
from dalle.training.model_folder import save_model
from harness.stage import Stage, run_stage


def main(stage: Stage) -> None:
    config, size = stage.params.train_dvae, stage.params.image_size
    if config.init != SCRATCH:  # a queued experiment runs in a copy that lacks what git ignores
        config = dataclasses.replace(config, init=str(stage.root / config.init))
    seed = derive_seed(stage.params.training_seed, "train_dvae")
    images = one_row_per_image(read_manifest(Path("data/filtered/pairs.parquet")))
    valid = load_evaluation_images(images[images["split"] == "valid"], size)
    if len(valid) < 2:
        raise ValueError(f"only {len(valid)} images to validate on: raise filter_data.valid_fraction, or bring more pairs")
    valid_images = torch.from_numpy(valid).permute(0, 3, 1, 2).float() / 255
    fid_of = fid_to(valid, config.fid_features, stage.options.device)
    dvae, metrics = train_dvae(
        ImageBatches(images[images["split"] == "train"], size, training_crop(config.crop_scale), config.optim.batch_size, seed),
        valid_images,
        config,
        seed=seed,
        options=stage.options,
        checkpoint=stage.checkpoint,
        log=stage.log,
    )
    with stage.output("models/dvae") as folder:
        save_model(dvae, dvae.config, folder)
    metrics |= fid_of(reconstructions(dvae, valid_images, stage.options.device))
    stage.throughput(images_per_second=stage.log.updates_per_second() * config.optim.batch_size)
    stage.finish(metrics)


def training_crop(scale: tuple[float, ...] | None) -> Crop:
    """Listing 1 with this range of scales, or the evaluation crop where there is none."""
    if scale is None:
        return lambda image, size, rng: evaluation_crop(image, size)
    return partial(dvae_crop, scale=scale)


def fid_to(images: np.ndarray, features: str | None, device: str) -> Callable[[np.ndarray], dict[str, float]]:
    """The FID of pictures to `images`, both uint8 (N, H, W, 3), by the network called `features`; without one, nothing.

    Before the training, so that nothing that can fail is left for its end.
    """
    if features is None:
        return lambda pictures: {}
    extractor = load_extractor(features, device)
    reference = FrechetReference(extractor(images)[0])
    return lambda pictures: {"valid/reconstruction_fid": reference.distance(extractor(pictures)[0])}


if __name__ == "__main__":
    run_stage(main)
