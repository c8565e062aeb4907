"""FID, IS, KID, precision and recall over blur radii and over N, caption accuracy, copies of training images (3.1, Fig. 9)."""

import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

from dalle.data.evaluation_captions import evaluation_pairs
from dalle.data.images import load_evaluation_images
from dalle.data.manifest import one_row_per_image, read_manifest
from dalle.data.token_store import open_token_store
from dalle.dvae.model import DVAE, load_dvae
from dalle.evaluation.caption_accuracy import chance_rows
from dalle.evaluation.clip_score import clip_score_rows
from dalle.evaluation.memorisation import memorisation_metrics, nearest_training_images, write_nearest
from dalle.evaluation.samples import RerankedSamples, read_reranked
from dalle.evaluation.subsets import subset_winners
from dalle.evaluation.sweep import Originals, Samples, check, sweep
from dalle.evaluation.table import headline, write_rows
from dalle.generation.code_colours import code_colours, colours_of, training_colours, training_rows
from dalle.generation.decoding import decode_codes
from dalle.generation.encoding import encode_images
from dalle.miniworld.reader_accuracy import bird_reader_accuracy, reader_accuracy
from dalle.miniworld.variety import VARIETIES
from harness.evaluation_parts import accuracy_rows, candidate_rows, clip_rows, extractor_of, num_smaller, seen_in_training
from harness.rivals import num_candidates, rival_samples
from harness.run_config import MINIWORLD
from harness.stage import Stage, run_stage

NUM_READER_RENDERS = 500  # fresh pictures on which the attribute reader itself is judged


def main(stage: Stage) -> None:
    config, domain, size = stage.params.evaluate, stage.item, stage.params.image_size
    device, start = stage.options.device, time.monotonic()
    captions = pd.read_csv(f"samples/{domain}/captions.csv", dtype=str, keep_default_na=False)
    rivals = rival_samples(stage.params, domain, captions, stage.root)
    extractor = extractor_of(config, stage.root, device)
    manifest = read_manifest(Path(f"data/prepared/{domain}.parquet"))
    pairs = one_row_per_image(evaluation_pairs(manifest, domain))
    if smaller := num_smaller(pairs, size):
        print(f"{domain}: {smaller} of {len(pairs)} reference images are smaller than {size} pixels, and are enlarged to them")
    seen = seen_in_training(domain, pairs["image_id"].tolist(), config, len(captions))
    originals = Originals(images=load_evaluation_images(pairs, size), overlapping=seen)
    reranked = read_reranked(Path(f"reranked/{domain}"))
    chosen_of = {name: num_candidates(stage.params, name) for name in rivals}
    others = [Samples.single(name, samples.images, chosen_of[name]) for name, samples in rivals.items()]
    check([Samples.ranked("dalle", reranked), *others], originals, config)  # before the first picture is decoded
    dvae, num_samples = load_dvae(Path("models/dvae")), len(captions)
    decoded = reconstructions(dvae, originals.images, stage)
    originals = replace(originals, reconstructions=decoded)
    real = load_evaluation_images(training_pairs(manifest, pairs).head(num_samples), size)
    models = [
        with_subsets(reranked, captions["caption_id"].tolist(), dvae, stage),
        # FID falls with the number of images: what cannot bring as many as there are captions is left out
        *([Samples.single("real", real)] if len(real) == num_samples else []),
        *others,
    ]
    shared = {"domain": domain, "seed": stage.params.seed}
    rows = sweep(models, originals, extractor, config, finished=stage.scratch, **shared)
    rows += clip_score_rows(pd.read_csv(f"reranked/{domain}/ranking.csv"), domain=domain, model="dalle")
    # the ceilings: the real pictures, and what the dVAE leaves of them
    captioned = {"real": (originals.images, pairs["caption"]), "dvae": (decoded, pairs["caption"])}
    known = {name: samples for name, samples in rivals.items() if samples.captions is not None}
    captioned |= {name: (samples.images, samples.captions["caption"]) for name, samples in known.items()}
    rendered = getattr(stage.params.prepare_data, domain) == MINIWORLD
    for model, (images, shown) in captioned.items():
        over = {"domain": domain, "model": model, "candidates": chosen_of.get(model, 1)}
        rows += clip_rows(images, shown, device=device, **over)
        if rendered:  # only of these pictures the reader can tell what they show
            rows += accuracy_rows(images, shown, **over)
        if rendered and model in known:
            rows += chance_rows(images[:], shown.tolist(), **over)
    best = reranked.images[reranked.winners[:, -1]]
    if rendered:
        asked, told = captions["caption"].tolist(), np.load(f"reranked/{domain}/shown.npy")
        rows += candidate_rows(told, asked, reranked, domain=domain, model="dalle")
        rows += chance_rows(best, asked, domain=domain, model="dalle", candidates=reranked.sweep[-1])
    images = sum(len(of.images) for of in (originals, *models))
    stage.throughput(images_per_second=images * len(config.blur_radii) / (time.monotonic() - start))
    with stage.output(f"reports/metrics/evaluate-{domain}.csv") as path:
        write_rows(rows, path)
    metrics = headline(rows)
    # of the pictures that were reduced to be evaluated, the side on disk
    sides = {name: samples.images.file_size for name, samples in rivals.items()}
    metrics |= {f"pixels/{name}": side for name, side in sides.items() if side != size}
    judged = {"dalle": best, "real": originals.images}
    metrics |= memorisation(judged, dvae, f"reports/metrics/memorisation-{domain}.csv", stage)
    if rendered:
        variety = VARIETIES[stage.params.prepare_data.miniworld.variety]
        judge = bird_reader_accuracy if domain == "cub" else reader_accuracy
        metrics["reader/accuracy"] = judge(NUM_READER_RENDERS, stage.params.seed, size, variety)
    stage.finish(metrics)


def with_subsets(reranked: RerankedSamples, caption_ids: list[str], dvae: DVAE, stage: Stage) -> Samples:
    """The winners on disk, and those among random parts of the pool; candidates that only win there are decoded here."""
    num_subsets, domain = stage.params.evaluate.rerank_subsets, stage.item
    scores = np.load(f"reranked/{domain}/scores.npy")
    chosen = subset_winners(scores, reranked.sweep, num_subsets=num_subsets, seed=stage.params.seed)
    candidates = np.load(f"samples/{domain}/candidates.npy", mmap_mode="r")
    rows = {caption_id: row for row, caption_id in enumerate(caption_ids)}
    place = np.full(scores.shape, -1)  # of each candidate's image
    for index, (caption_id, number) in enumerate(reranked.keys):
        place[rows[caption_id], number] = index
    owners = np.broadcast_to(np.arange(len(scores))[:, None], chosen.shape)
    wins = np.zeros(scores.shape, dtype=bool)
    wins[owners, chosen] = True
    missing = np.nonzero(wins & (place < 0))
    images = decode_codes(dvae, candidates[missing], stage.params.rerank.batch_size, stage.options.device)
    place[missing] = len(reranked.images) + np.arange(len(images))
    return Samples(
        model="dalle",
        images=np.concatenate([reranked.images, images]),
        winners=reranked.winners,
        sweep=reranked.sweep,
        subsets=place[owners, chosen],
    )


def reconstructions(dvae: DVAE, images: np.ndarray, stage: Stage) -> np.ndarray:
    """What the dVAE leaves of `images`: no prior over its codes can do better."""
    config, device = stage.params.precompute_tokens, stage.options.device
    image_tokens = encode_images(dvae, images, batch_size=config.batch_size, device=device, precision=config.precision)
    return decode_codes(dvae, image_tokens, config.batch_size, device)


def memorisation(pictures: Mapping[str, np.ndarray], dvae: DVAE, file: str, stage: Stage) -> dict[str, float]:
    """The training image nearest to each picture of each model, written to `file`, and what that says in numbers."""
    config, device = stage.params.precompute_tokens, stage.options.device
    store = open_token_store(Path("data/tokens"))
    colours, rows, found = code_colours(dvae, device), training_rows(store), {}
    for model, images in pictures.items():
        image_tokens = encode_images(dvae, images, batch_size=config.batch_size, device=device, precision=config.precision)
        found[model] = nearest_training_images(colours_of(image_tokens, colours), training_colours(store, rows, colours))
    with stage.output(file) as path:
        write_nearest(found, store.pairs["pair_id"].to_numpy()[rows], path)
    return memorisation_metrics(found)


def training_pairs(manifest: pd.DataFrame, evaluated: pd.DataFrame) -> pd.DataFrame:
    """The domain's own other real images: how far apart two sets of real pictures are at this number of samples."""
    return one_row_per_image(manifest[~manifest["image_id"].isin(evaluated["image_id"])])


if __name__ == "__main__":
    run_stage(main)
