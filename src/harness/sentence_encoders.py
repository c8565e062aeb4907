"""The captions' vectors that a baseline is conditioned on: of this pipeline's CLIP, or of a DAMSM trained with the baseline."""

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import torch

from dalle.baselines.damsm.model import TextEncoder, encode_sentences, load_text_encoder, save_text_encoder
from dalle.baselines.damsm.train import ImageFeatures, train_damsm
from dalle.clip.model import load_clip
from dalle.clip.scoring import encode_captions
from dalle.data.bpe import CaptionTokenizer
from dalle.data.manifest import one_row_per_image
from dalle.evaluation.regions import region_features
from dalle.training.log import MemoryLog

if TYPE_CHECKING:
    from harness.stage import Stage

CLIP, TOKENIZER, DAMSM = Path("models/clip"), Path("models/tokenizer"), "text_encoder"
BATCH_SIZE = 256
SentenceEncoder = Callable[[Sequence[str]], np.ndarray]  # captions -> float32 (C, D)


def trained_encoder(stage: "Stage", kind: str, pairs: pd.DataFrame, seed: int) -> tuple[SentenceEncoder, dict[str, float]]:
    """The encoder that a baseline of these training pairs starts with, and what its own training measured.

    A DAMSM lies in the stage's scratch afterwards, where a restarted stage finds it.
    """
    if kind == "clip":
        return clip_sentences(stage.options.device), {}
    regions, whole = region_features(one_row_per_image(pairs), stage.params.image_size, stage.options.device)
    encoder, metrics = train_damsm(
        pairs,
        ImageFeatures(regions, whole),
        stage.params.train_baseline.damsm,
        seed=seed,
        options=stage.options,
        checkpoint=stage.checkpoint.sibling("damsm"),
        log=MemoryLog(),  # the stage's curves are the GAN's
    )
    save_text_encoder(encoder, stage.scratch / DAMSM)
    return damsm_sentences(encoder), {f"damsm/{name.partition('/')[2]}": value for name, value in metrics.items()}


def saved_encoder(kind: str, folder: Path, device: str) -> SentenceEncoder:
    """The encoder of a baseline on disk."""
    return clip_sentences(device) if kind == "clip" else damsm_sentences(load_text_encoder(folder / DAMSM).to(device))


def clip_sentences(device: str) -> SentenceEncoder:
    """Unit vectors of the text tower; a caption that occurs many times is read once."""
    clip, tokenizer = load_clip(CLIP).to(device).eval(), CaptionTokenizer.load(TOKENIZER)

    def encode(captions: Sequence[str]) -> np.ndarray:
        rows = {caption: row for row, caption in enumerate(dict.fromkeys(captions))}
        vectors = encode_captions(clip, tokenizer, list(rows), batch_size=BATCH_SIZE).float().cpu().numpy()
        return vectors[[rows[caption] for caption in captions]]

    return encode


def damsm_sentences(encoder: TextEncoder) -> SentenceEncoder:
    return partial(encode_sentences, encoder)
