"""Image-to-image: the top of each picture given, the rest completed under its caption (Fig. 2d, 14)."""

import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd

from dalle.clip.model import load_clip
from dalle.clip.scoring import clip_scores
from dalle.data.bpe import CaptionTokenizer
from dalle.data.images import load_evaluation_images
from dalle.data.manifest import read_manifest
from dalle.data.text_tokens import caption_text_tokens
from dalle.dvae.model import DVAE, load_dvae
from dalle.evaluation.panel_success import as_asked, completion_metrics, success_metrics
from dalle.generation.completed_pictures import Completions, write_completions
from dalle.generation.completion import complete_tokens, given_tokens
from dalle.generation.decoding import decode_codes
from dalle.generation.encoding import encode_images
from dalle.miniworld.items import panels_of
from dalle.miniworld.panels import Panels
from dalle.miniworld.reader_accuracy import panel_reader_accuracy
from dalle.miniworld.variety import VARIETIES
from dalle.prior.kinds import load_prior
from dalle.randomness import derive_seed
from harness.stage import Stage, run_stage

NUM_READER_RENDERS = 200  # fresh panels on which their reader itself is judged


def main(stage: Stage) -> None:
    pairs = read_manifest(Path("data/prepared/panels.parquet")).rename(columns={"pair_id": "caption_id"})
    completions, metrics = (None, {}) if pairs.empty else complete(pairs, stage)
    with stage.output("completions") as folder:
        write_completions(completions, folder)
    stage.finish({**metrics, "pictures/total": len(pairs)})


def complete(pairs: pd.DataFrame, stage: Stage) -> tuple[Completions, dict[str, float]]:
    """All candidates of all pictures, and how many are as asked where the truth about the pictures is known."""
    config, device = stage.params.complete, stage.options.device
    pictures = load_evaluation_images(pairs, stage.params.image_size)
    dvae, panels = load_dvae(Path("models/dvae")), known_panels(pairs)
    start = time.monotonic()
    images = draw(pairs, pictures, dvae, stage)
    scores = np.zeros(images.shape[:2], np.float32)
    if config.candidates > 1:
        scores = clip_scores(
            load_clip(Path("models/clip")).to(device),
            CaptionTokenizer.load(Path("models/tokenizer")),
            pairs["caption"].tolist(),
            lambda rows: images.reshape(-1, *images.shape[2:])[rows],
            num_candidates=config.candidates,
            batch_size=config.batch_size,
            precision=config.precision,
        )
    stage.throughput(images_per_second=scores.size / (time.monotonic() - start))
    if panels is None:
        return Completions(pairs=pairs, images=images, scores=scores, as_asked=None), {}
    told = np.stack([as_asked(candidates, panels) for candidates in images.swapaxes(0, 1)], axis=1)
    completions = Completions(pairs=pairs, images=images, scores=scores, as_asked=told)
    metrics = completion_metrics(images, told, completions.best, panels)
    for name, whole in {"real": pictures, "dvae": reconstructions(pictures, dvae, stage)}.items():
        metrics |= success_metrics(name, as_asked(whole, panels), panels)
    metrics["reader/accuracy"] = panel_reader_accuracy(
        NUM_READER_RENDERS,
        stage.params.seed,
        stage.params.image_size,
        VARIETIES[stage.params.prepare_data.miniworld.variety],
    )
    return completions, metrics


def draw(pairs: pd.DataFrame, pictures: np.ndarray, dvae: DVAE, stage: Stage) -> np.ndarray:
    """The completions, uint8 (C, N, H, W, 3)."""
    config, device = stage.params.complete, stage.options.device
    prior, tokenizer = load_prior(Path("models/prior")), CaptionTokenizer.load(Path("models/tokenizer"))
    captions, caption_ids = pairs["caption"].tolist(), pairs["caption_id"].tolist()
    text = caption_text_tokens(
        tokenizer, caption_ids, captions, text_length=prior.config.text_length, long_captions=config.long_captions
    )
    if text.warning:
        print(f"WARNING complete: {text.warning}", file=sys.stderr)
    candidates = complete_tokens(
        prior,
        tokenizer,
        given_tokens(
            dvae, pictures, rows=config.rows, batch_size=config.batch_size, device=device, precision=config.precision
        ),
        captions,
        caption_ids,
        config=config,
        seed=derive_seed(stage.params.training_seed, "complete"),
        device=device,
    )
    images = decode_codes(dvae, candidates.reshape(-1, candidates.shape[-1]), config.batch_size, device)
    return images.reshape(*candidates.shape[:2], *images.shape[1:])


def known_panels(pairs: pd.DataFrame) -> list[Panels] | None:
    """The truth about the pictures, in their order; None of pictures from outside."""
    path = Path("data/prepared/truth/panels.parquet")
    if not path.exists():
        return None
    truth = pd.read_parquet(path).set_index("pair_id")
    return [panels_of(attributes) for attributes in truth.loc[pairs["caption_id"], "attributes"]]


def reconstructions(pictures: np.ndarray, dvae: DVAE, stage: Stage) -> np.ndarray:
    """What the dVAE leaves of the whole pictures: what a perfect prior would reach."""
    config, device = stage.params.complete, stage.options.device
    image_tokens = encode_images(dvae, pictures, batch_size=config.batch_size, device=device, precision=config.precision)
    return decode_codes(dvae, image_tokens, config.batch_size, device)


if __name__ == "__main__":
    run_stage(main)
