"""Captions to pictures: N candidates of each, and the best of them by CLIP (PAPER 2.6, Fig. 3)."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image

from dalle.clip.scoring import clip_scores
from dalle.generation.completion import complete_tokens
from dalle.generation.decoding import decode_codes
from dalle.generation.model_set import ModelSet
from dalle.generation.sampling import SampleConfig


@dataclass(frozen=True, kw_only=True)
class BestCandidates:
    """The best K candidates of a caption, the best one first: their numbers, and `images` uint8 (K, H, W, 3).

    `scores` are cosine similarities by CLIP, None where the candidates stand as they were drawn.
    """

    caption: str
    numbers: list[int]
    images: np.ndarray
    scores: list[float] | None


def check_request(captions: Sequence[str], *, candidates: int, top: int) -> None:
    """A `ValueError` naming the caption or the number that nothing can be drawn for."""
    for number, caption in enumerate(captions, start=1):
        if not caption.strip():
            raise ValueError(f"caption {number} is empty: say what the picture should show")
    repeated = [caption for caption in dict.fromkeys(captions) if captions.count(caption) > 1]
    if repeated:
        raise ValueError(f"caption '{repeated[0]}' is given twice: the same pictures would be drawn again")
    if not 1 <= top <= candidates:
        raise ValueError(f"top must be 1 to {candidates}, the number of candidates, got {top}")


def cut_off(models: ModelSet, caption: str) -> dict[str, str]:
    """What of a caption is beyond the text length of "the prior" and of "CLIP", for those that do not read all of it."""
    lengths = {"the prior": models.prior.config.text_length}
    if models.clip is not None:
        lengths["CLIP"] = models.clip.context_length - 1  # the last place is the end's
    token_ids = models.tokenizer.encode(caption)
    return {reader: models.tokenizer.decode(token_ids[n:]) for reader, n in lengths.items() if len(token_ids) > n}


def draw_candidates(
    models: ModelSet,
    captions: Sequence[str],
    config: SampleConfig,
    *,
    seed: int,
    device: str,
    given: np.ndarray | None = None,
) -> np.ndarray:
    """Image tokens uint16 (C, N, G*G), each candidate a function of (seed, caption, its number): the caption is its own id.

    With `given`, uint16 (C, n), every candidate of a caption begins with that caption's row.
    """
    if given is None:
        given = np.empty((len(captions), 0), dtype=np.uint16)
    return complete_tokens(
        models.prior, models.tokenizer, given, captions, captions, config=config, seed=seed, device=device
    )


def choose_best(
    models: ModelSet, captions: Sequence[str], candidates: np.ndarray, *, top: int, batch_size: int, device: str
) -> list[BestCandidates]:
    """The `top` candidates of each caption by CLIP, of image tokens (C, N, G*G); equal scores go to the lower number.

    Without a CLIP all candidates are the best, as they were drawn, and fewer than all are a `ValueError`.
    """
    num_captions, num_candidates, _ = candidates.shape
    if models.clip is None and top < num_candidates:
        raise ValueError(f"there is no CLIP to choose {top} of {num_candidates} candidates: draw as many as are to be shown")
    if models.clip is None:
        scores, order = None, np.tile(np.arange(num_candidates), (num_captions, 1))
    else:
        scores = _clip_scores(models, captions, candidates, batch_size, device)
        order = np.argsort(-scores, axis=1, kind="stable")[:, :top]
    return [
        BestCandidates(
            caption=caption,
            numbers=order[row].tolist(),
            images=decode_codes(models.dvae, candidates[row, order[row]], 1, device),  # the same whatever is shown beside it
            scores=None if scores is None else scores[row, order[row]].tolist(),
        )
        for row, caption in enumerate(captions)
    ]


def write_samples(chosen: Sequence[BestCandidates], folder: Path) -> None:
    """`samples.csv` and a PNG of every candidate chosen, the best first; a caption's id is its place, from 0."""
    (folder / "images").mkdir(parents=True)
    rows = []
    for caption_id, best in enumerate(chosen):
        for number, image in zip(best.numbers, best.images, strict=True):
            file = f"images/{caption_id}-{number}.png"
            Image.fromarray(image).save(folder / file)
            rows.append((caption_id, caption_id, best.caption, number, file))
    columns = ["caption_id", "image_id", "caption", "candidate", "file"]
    pd.DataFrame(rows, columns=columns).to_csv(folder / "samples.csv", index=False)


def _clip_scores(
    models: ModelSet, captions: Sequence[str], candidates: np.ndarray, batch_size: int, device: str
) -> np.ndarray:
    """Float32 (C, N)."""
    image_tokens = candidates.reshape(-1, candidates.shape[-1])
    scores = clip_scores(
        models.clip.to(device),
        models.tokenizer,
        captions,
        lambda rows: decode_codes(models.dvae, image_tokens[rows], batch_size, device),
        num_candidates=candidates.shape[1],
        batch_size=batch_size,
    )
    if not np.isfinite(scores).all():
        raise ValueError("some of CLIP's scores are not numbers: this CLIP is broken")
    return scores
