"""FID, IS and KID over blur radii and over N, caption accuracy, copies of training images (3.1, Fig. 9)."""

import time
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd

from dalle.data.evaluation_captions import evaluation_pairs
from dalle.data.images import load_evaluation_images
from dalle.data.manifest import one_row_per_image, read_manifest
from dalle.data.token_store import open_token_store
from dalle.dvae.model import load_dvae
from dalle.evaluation.caption_accuracy import caption_accuracy_rows
from dalle.evaluation.clip_score import clip_score_rows
from dalle.evaluation.features import load_extractor
from dalle.evaluation.memorisation import memorisation_metrics, nearest_training_images, write_nearest
from dalle.evaluation.samples import read_reranked
from dalle.evaluation.sweep import ReferenceSet, evaluate_model, evaluate_reranked
from dalle.evaluation.table import headline, write_rows
from dalle.generation.code_colours import code_colours, colours_of, training_colours, training_rows
from dalle.generation.decoding import decode_codes
from dalle.generation.encoding import encode_images
from dalle.miniworld.reader_accuracy import reader_accuracy
from harness.run_config import MINIWORLD
from harness.stage import Stage, run_stage

NUM_READER_RENDERS = 500  # fresh pictures on which the attribute reader itself is judged


def main(stage: Stage) -> None:
    config, domain, size = stage.params.evaluate, stage.item, stage.params.image_size
    device, start = stage.options.device, time.monotonic()
    manifest = read_manifest(Path(f"data/prepared/{domain}.parquet"))
    pairs = one_row_per_image(evaluation_pairs(manifest, domain))
    extractor = load_extractor(config.features, device)
    reference = ReferenceSet(load_evaluation_images(pairs, size), extractor, config)
    reranked = read_reranked(Path(f"reranked/{domain}"))
    shared = {"domain": domain, "seed": stage.params.seed}
    rows = evaluate_reranked(reranked.images, reranked.winners, reranked.sweep, reference, model="dalle", **shared)
    rows += clip_score_rows(pd.read_csv(Path(f"reranked/{domain}/ranking.csv")), domain=domain, model="dalle")
    num_samples = len(reranked.winners)
    others = {"dvae": reconstructions(reference.images, stage), "real": training_images(manifest, pairs, size)}
    for model, images in others.items():
        rows += evaluate_model(images[:num_samples], reference, model=model, candidates=1, **shared)
    rendered = getattr(stage.params.prepare_data, domain) == MINIWORLD
    if rendered:  # only of these pictures the reader can tell what they show
        rows += caption_accuracy_rows(
            reranked.images, reranked.captions, reranked.winners, reranked.sweep, domain=domain, model="dalle"
        )
        # the ceilings: what the reader makes of the real pictures, and of what the dVAE leaves of them
        for model, images in {"real": reference.images, "dvae": others["dvae"]}.items():
            own = np.arange(len(pairs))[:, None]
            rows += caption_accuracy_rows(images, pairs["caption"].tolist(), own, (1,), domain=domain, model=model)
    images = len(reference.images) + len(reranked.images) + sum(map(len, others.values()))
    stage.throughput(images_per_second=images * len(config.blur_radii) / (time.monotonic() - start))
    with stage.output(f"reports/metrics/evaluate-{domain}.csv") as path:
        write_rows(rows, path)
    metrics = headline(rows)
    best = reranked.images[reranked.winners[:, -1]]
    metrics |= memorisation({"dalle": best, "real": reference.images}, f"reports/metrics/memorisation-{domain}.csv", stage)
    if rendered:
        metrics["reader/accuracy"] = reader_accuracy(NUM_READER_RENDERS, stage.params.seed, size)
    stage.finish(metrics)


def reconstructions(images: np.ndarray, stage: Stage) -> np.ndarray:
    """What the dVAE leaves of `images`: no prior over its codes can do better."""
    config, device = stage.params.precompute_tokens, stage.options.device
    dvae = load_dvae(Path("models/dvae"))
    image_tokens = encode_images(dvae, images, batch_size=config.batch_size, device=device, precision=config.precision)
    return decode_codes(dvae, image_tokens, config.batch_size, device)


def memorisation(pictures: Mapping[str, np.ndarray], file: str, stage: Stage) -> dict[str, float]:
    """The training image nearest to each picture of each model, written to `file`, and what that says in numbers."""
    config, device = stage.params.precompute_tokens, stage.options.device
    dvae, store = load_dvae(Path("models/dvae")), open_token_store(Path("data/tokens"))
    colours, rows, found = code_colours(dvae, device), training_rows(store), {}
    for model, images in pictures.items():
        image_tokens = encode_images(dvae, images, batch_size=config.batch_size, device=device, precision=config.precision)
        found[model] = nearest_training_images(colours_of(image_tokens, colours), training_colours(store, rows, colours))
    with stage.output(file) as path:
        write_nearest(found, store.pairs["pair_id"].to_numpy()[rows], path)
    return memorisation_metrics(found)


def training_images(manifest: pd.DataFrame, evaluated: pd.DataFrame, size: int) -> np.ndarray:
    """The domain's own other real images: how far apart two sets of real pictures are at this number of samples."""
    others = one_row_per_image(manifest[~manifest["image_id"].isin(evaluated["image_id"])])
    return load_evaluation_images(others, size)


if __name__ == "__main__":
    run_stage(main)
