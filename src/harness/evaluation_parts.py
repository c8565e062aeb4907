"""What an evaluation needs beside `dalle.evaluation`: the CLIP of this pipeline, folders of other models, captions' truth."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from dalle.clip.model import encode_images, images_to_tensor, load_clip
from dalle.clip.scoring import clip_scores
from dalle.data.bpe import CaptionTokenizer
from dalle.data.evaluation_captions import evaluation_pairs
from dalle.data.manifest import BOX, read_manifest
from dalle.evaluation.caption_accuracy import caption_accuracy_rows, oracle_rows
from dalle.evaluation.clip_score import clip_score_rows
from dalle.evaluation.extractors import ClipFeatures, FeatureExtractor, open_extractor
from dalle.evaluation.folders import (
    FolderSamples,
    folder_digest,
    folder_words,
    image_keys,
    read_folder,
    read_folder_by_image,
)
from dalle.evaluation.overlap import read_overlap
from dalle.evaluation.protocol import Protocol
from dalle.evaluation.samples import RerankedSamples
from dalle.evaluation.sweep import Images
from dalle.evaluation.table import Row
from dalle.evaluation.weights import check_sha256
from dalle.miniworld.caption_reader import read_caption, shown

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


def num_smaller(images: pd.DataFrame, size: int) -> int:
    """How many of a manifest's images, or of their boxes, are less than `size` pixels wide or high."""
    boxed = (images[list(BOX)] != 0).any(axis=1)
    left, top, right, bottom = (images[column] for column in BOX)
    width, height = (images["width"].where(~boxed, right - left), images["height"].where(~boxed, bottom - top))
    return int((np.minimum(width, height) < size).sum())


def external_samples(
    configs: Sequence["ExternalSamplesConfig"], domain: str, captions: pd.DataFrame, root: Path, size: int
) -> dict[str, FolderSamples]:
    """The folders of `evaluate.external` for a domain, by name, with an image for each of the `captions` (caption_id, caption).

    What was read of each folder, and what was not, is printed. A ValueError names a folder that has changed, does not fit the
    captions or the `size` in pixels, or holds what is no sample.
    """
    found = {}
    for config in configs:
        if config.domain == domain:
            folder, who = root / config.folder, f"evaluate.external, {config.name}"
            try:
                samples = _read_external(config, folder, captions, size)
                _check_external(samples, folder, len(captions), size)
            except ValueError as error:
                raise ValueError(f"{who}: {error}") from None
            digest = folder_digest(folder)
            if digest != config.sha256:
                raise ValueError(f"{who}: {folder} has sha256 {digest}, params.yaml says {config.sha256}")
            for words in folder_words(folder, samples.images.files):
                print(words)
            found[config.name] = samples
    return found


def evaluation_image_keys(domain: str) -> set[str]:
    """What files of samples for a prepared domain may be called that tell their image alone."""
    return image_keys(evaluation_pairs(read_manifest(Path(f"data/prepared/{domain}.parquet")), domain))


def _read_external(config: "ExternalSamplesConfig", folder: Path, captions: pd.DataFrame, size: int) -> FolderSamples:
    to_size = size if config.resize else None
    if config.match == "image_id":
        return read_folder_by_image(folder, evaluation_image_keys(config.domain), to_size)
    return read_folder(folder, captions if config.match == "caption_id" else None, to_size)


def _check_external(samples: FolderSamples, folder: Path, number: int, size: int) -> None:
    own, side = len(samples.images), samples.images.shape[1]
    if own != number:
        what_to_do = (
            f"delete {own - number} of them, or say which {number} count in a samples.csv (file, image_id; match: image_id)"
            if own > number
            else f"add {number - own}, or set sample.num_captions to {own}"
        )
        raise ValueError(
            f"{folder} holds {own} images and the others bring {number}: FID at unequal N cannot be compared; {what_to_do}"
        )
    if side != size:
        what_to_do = "set resize: true to reduce them as the reference is" if side > size else "smaller ones cannot be used"
        raise ValueError(
            f"{folder} holds images of {side} x {side} pixels, everything else is evaluated at {size} (image_size): FID at "
            f"different sizes cannot be compared; {what_to_do}"
        )


def clip_rows(
    images: Images, captions: Sequence[str], *, domain: str, model: str, device: str, candidates: int = 1
) -> list[Row]:
    """How well images match their captions by the pipeline's own CLIP; none where it has not been trained."""
    if not (CLIP / "model.safetensors").is_file():
        return []
    clip, tokenizer = load_clip(CLIP).to(device), CaptionTokenizer.load(TOKENIZER)
    scores = clip_scores(clip, tokenizer, list(captions), lambda rows: images[rows], num_candidates=1)
    ranking = pd.DataFrame({"candidates": candidates, "score": scores[:, 0].astype(float)})
    return clip_score_rows(ranking, domain=domain, model=model)


def accuracy_rows(images: Images, captions: Sequence[str], *, domain: str, model: str, candidates: int = 1) -> list[Row]:
    """Whether images, one a caption, show what it says: for captions of the miniature world."""
    told = shown(images[:], [read_caption(caption) for caption in captions])[:, None]
    return caption_accuracy_rows(told, list(captions), (candidates,), domain=domain, model=model)


def candidate_rows(told: np.ndarray, captions: Sequence[str], found: RerankedSamples, *, domain: str, model: str) -> list[Row]:
    """Accuracy of CLIP's choice among N and of the best of them, from `told` bool (C, candidates): what each shows."""
    chosen = np.array([number for _, number in found.keys])[found.winners]
    of_choice = np.take_along_axis(told, chosen, axis=1)
    rows = caption_accuracy_rows(of_choice, captions, found.sweep, domain=domain, model=model)
    return rows + oracle_rows(told, captions, found.sweep, domain=domain, model=model)
