"""The nearest training image of every evaluation image, and which are near enough to have been seen in training (3.2)."""

import time
from pathlib import Path

import numpy as np
import pandas as pd

from dalle.data.evaluation_captions import evaluation_pairs
from dalle.data.manifest import one_row_per_image, read_manifest
from dalle.evaluation.overlap import planted_overlap
from dalle.overlap.embedding import Embed, embedded_chunks, embedder, pictures, thumbnails
from dalle.overlap.found import nearest_table, overlap_of, write_found, write_table
from dalle.overlap.model import load_detector
from dalle.overlap.scoring import average_precision, precision_and_recall
from dalle.overlap.search import Nearest, nearest
from harness.stage import Stage, run_stage

TRUTH = Path("data/prepared/truth/web.parquet")


def main(stage: Stage) -> None:
    config, domain = stage.params.find_overlap, stage.item
    # held-out images too: what was watched in training was seen
    training = one_row_per_image(read_manifest(Path("data/filtered/pairs.parquet")))
    evaluated = one_row_per_image(evaluation_pairs(read_manifest(Path(f"data/prepared/{domain}.parquet")), domain))
    detector, device = load_detector(Path("models/detector")), stage.options.device
    size, start = detector.config.image_size, time.monotonic()
    found = search(embedder(detector, device, config.precision), evaluated, training, size, "training", stage)
    stage.throughput(images_per_second=(len(training) + 2 * len(evaluated)) / (time.monotonic() - start))
    table = nearest_table(evaluated["image_id"], training["pair_id"], found)
    overlap = overlap_of(table, config.threshold, len(training))
    with stage.output(f"data/overlap/{domain}.csv") as path:
        write_table(table, path)
    with stage.output(f"data/overlap/{domain}.json") as path:
        write_found(overlap, path)
    metrics = {"overlap/rate": overlap.rate, "overlap/images": len(overlap.image_ids), "overlap/of_images": len(evaluated)}
    if TRUTH.is_file():  # only the miniature world knows it; it scores what was found and decides nothing
        by_thumbnail = search(thumbnails, evaluated, training, size, "thumbnails", stage)
        seen = evaluated["image_id"].isin(overlap.image_ids).to_numpy()
        metrics |= against_truth(seen, {"": found, "thumbnail_": by_thumbnail}, evaluated, domain)
    stage.finish(metrics)


def search(embed: Embed, evaluated: pd.DataFrame, training: pd.DataFrame, size: int, name: str, stage: Stage) -> Nearest:
    """The nearest of the training images to each of those evaluated; embeddings are kept under `name` while the stage runs."""
    config = stage.params.find_overlap
    chunks = embedded_chunks(embed, training, size, stage.scratch / name, batch_size=config.batch_size)
    views = [(embed(batch), embed(batch[:, :, ::-1])) for batch in pictures(evaluated, size, config.batch_size)]
    queries, mirrored = map(np.concatenate, zip(*views, strict=True))
    return nearest(queries, mirrored, chunks, block_size=config.block_size, device=stage.options.device)


def against_truth(seen: np.ndarray, searches: dict[str, Nearest], evaluated: pd.DataFrame, domain: str) -> dict[str, float]:
    """How the images `seen`, bool (M,), and each search's order agree with the planted leaks.

    `planted_rate` is of all leaks on the web. Precision and recall are against those that passed the filters and so are among
    the training images: what a filter dropped cannot be found, and was not seen.
    """
    truth, image_ids = pd.read_parquet(TRUTH), evaluated["image_id"].tolist()
    kept = read_manifest(Path("data/filtered/pairs.parquet"))["pair_id"]
    everywhere = planted_overlap(truth["leak_of"], domain, image_ids)
    planted = planted_overlap(truth[truth["pair_id"].isin(kept)]["leak_of"], domain, image_ids)
    metrics = {"overlap/planted_rate": float(everywhere.mean()), "overlap/planted_dropped": int((everywhere & ~planted).sum())}
    metrics |= {f"overlap/{name}": share for name, share in precision_and_recall(seen, planted).items()}
    if planted.any():
        for name, found in searches.items():
            metrics[f"overlap/{name}average_precision"] = average_precision(found.similarity, planted)
    return metrics


if __name__ == "__main__":
    run_stage(main)
