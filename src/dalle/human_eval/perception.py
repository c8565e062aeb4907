"""Pictures -> what simulated raters see in them: the reader's judgement and the realism score."""

from collections.abc import Mapping, Sequence

import numpy as np

from dalle.evaluation.extractors import FeatureExtractor
from dalle.evaluation.precision_recall import Manifold
from dalle.human_eval.realism import realism_scores
from dalle.human_eval.simulated import Pictures, Seen
from dalle.miniworld.captions import parse_caption
from dalle.miniworld.reader import shows

REAL_DEVIATIONS = 2.0  # above the mean of the models' pictures; a real picture's own score is infinite


def see_pictures(
    models: Mapping[str, np.ndarray],
    caption_ids: Sequence[str],
    captions: Sequence[str],
    reference: np.ndarray,
    extractor: FeatureExtractor,
    neighbourhood: int,
) -> Pictures:
    """By (model, caption_id) what is seen in `models`' pictures, an image uint8 (H, W, 3) a caption.

    Realism is measured against the `reference`, real images (M, H, W, 3), and scaled to deviations over all models' pictures.
    Where the reader cannot read a caption (it is about a bird), nobody can tell what shows it.
    """
    manifold = Manifold(extractor(reference)[0], neighbourhood)
    scores = {name: realism_scores(extractor(images)[0], manifold) for name, images in models.items()}
    everything = np.concatenate(list(scores.values()))
    spread = everything.std() or 1.0
    queries, seen = [parse_caption(caption) for caption in captions], {}
    for name, images in models.items():
        for caption_id, query, image, score in zip(caption_ids, queries, images, scores[name], strict=True):
            realism = float((score - everything.mean()) / spread)
            seen[name, caption_id] = Seen(realism, None if query is None else shows(image, query))
    return seen


def see_real(images: np.ndarray, caption_ids: Sequence[str], captions: Sequence[str]) -> Pictures:
    """What is seen in real pictures (N, H, W, 3), each with its caption; one that the reader cannot read is shown, too."""
    queries = [parse_caption(caption) for caption in captions]
    return {
        ("real", caption_id): Seen(REAL_DEVIATIONS, query is None or shows(image, query))
        for caption_id, query, image in zip(caption_ids, queries, images, strict=True)
    }
