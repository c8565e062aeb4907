"""What an evaluation needs beside `dalle.evaluation`: the CLIP of this pipeline, folders of other models, captions' truth."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from dalle.clip.model import encode_images, images_to_tensor, load_clip
from dalle.clip.scoring import clip_scores
from dalle.data.bpe import CaptionTokenizer
from dalle.evaluation.caption_accuracy import caption_accuracy_rows
from dalle.evaluation.clip_score import clip_score_rows
from dalle.evaluation.extractors import ClipFeatures, FeatureExtractor, open_extractor
from dalle.evaluation.folders import FolderSamples, folder_digest, read_folder
from dalle.evaluation.overlap import read_overlap
from dalle.evaluation.protocol import Protocol
from dalle.evaluation.sweep import Images
from dalle.evaluation.table import Row
from dalle.evaluation.weights import check_sha256

if TYPE_CHECKING:
    from harness.params_tree import ExternalSamplesConfig

CLIP, TOKENIZER, OVERLAP = Path("models/clip"), Path("models/tokenizer"), Path("data/overlap")


def extractor_of(protocol: Protocol, root: Path, device: str) -> FeatureExtractor:
    """The network that the protocol names; paths are relative to `root`, where files that git ignores lie."""
    weights = protocol.weights and str(root / protocol.weights)
    if protocol.features != "clip":
        return open_extractor(protocol.features, device, weights=weights, sha256=protocol.weights_sha256)
    folder = Path(weights) if weights else CLIP
    if not (folder / "model.safetensors").is_file():
        raise ValueError(f"features: clip needs a model, {folder} holds none: dvc repro train_clip, or weights: FOLDER")
    if protocol.weights_sha256:
        check_sha256(folder / "model.safetensors", protocol.weights_sha256, "weights_sha256 says which CLIP is meant")
    clip = load_clip(folder).to(device).eval()
    return ClipFeatures(lambda images: encode_images(clip, images_to_tensor(images).to(device)).cpu().numpy())


def seen_in_training(domain: str, image_ids: Sequence[str], protocol: Protocol, num_samples: int) -> np.ndarray | None:
    """Which of a domain's reference images find_overlap found among the training images, bool (M,); None where nobody looked.

    None too, and a line that says so, where the others are too few to measure by: then there are no rows without them.
    """
    path = OVERLAP / f"{domain}.json"
    if not path.is_file():
        return None
    seen = read_overlap(path, image_ids)
    try:
        protocol.check_sizes(num_samples, int((~seen).sum()))
    except ValueError as error:
        print(f"{domain}: no scores without the {seen.sum()} of {len(seen)} reference images seen in training: {error}")
        return None
    return seen


def external_samples(
    configs: Sequence["ExternalSamplesConfig"], domain: str, captions: pd.DataFrame, root: Path
) -> dict[str, FolderSamples]:
    """The folders of `evaluate.external` for a domain, by name, with an image for each of the `captions` (caption_id, caption).

    A ValueError names a folder that has changed, does not fit the captions, or holds what is not a sample.
    """
    found = {}
    for config in configs:
        if config.domain == domain:
            folder, who = root / config.folder, f"evaluate.external, {config.name}"
            samples = read_folder(folder, captions if config.match == "caption_id" else None)
            if len(samples.images) != len(captions):
                counts = f"holds {len(samples.images)} images and the others bring {len(captions)}"
                raise ValueError(f"{who}: {folder} {counts}: FID at unequal N cannot be compared")
            digest = folder_digest(folder)
            if digest != config.sha256:
                raise ValueError(f"{who}: {folder} has sha256 {digest}, params.yaml says {config.sha256}")
            found[config.name] = samples
    return found


def clip_rows(images: Images, captions: Sequence[str], *, domain: str, model: str, device: str) -> list[Row]:
    """How well images match their captions by the pipeline's own CLIP; none where it has not been trained."""
    if not (CLIP / "model.safetensors").is_file():
        return []
    clip, tokenizer = load_clip(CLIP).to(device), CaptionTokenizer.load(TOKENIZER)
    scores = clip_scores(clip, tokenizer, list(captions), lambda rows: images[rows], num_candidates=1)
    return clip_score_rows(pd.DataFrame({"candidates": 1, "score": scores[:, 0].astype(float)}), domain=domain, model=model)


def accuracy_rows(images: Images, captions: Sequence[str], *, domain: str, model: str) -> list[Row]:
    """Whether images, one a caption, show what it says: for captions of the miniature world."""
    own = np.arange(len(captions))[:, None]
    return caption_accuracy_rows(images[:], list(captions), own, (1,), domain=domain, model=model)
