"""Similarities between captions and their candidate images (PAPER 5)."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from dalle.clip.model import clip_text_tokens, encode_images, encode_text, images_to_tensor
from dalle.data.bpe import CaptionTokenizer
from dalle.progress import track
from dalle.training.precision import Precision, autocast

if TYPE_CHECKING:
    import open_clip


@torch.inference_mode()
def clip_scores(
    clip: "open_clip.CLIP",
    tokenizer: CaptionTokenizer,
    captions: Sequence[str],
    images: Callable[[slice], np.ndarray],
    *,
    num_candidates: int,
    batch_size: int = 256,
    precision: Precision = "fp32",
) -> np.ndarray:
    """Cosine similarities float32 (C, N) of C captions with N candidates each.

    `images(rows)` gives rows of the C * N candidates, caption by caption, as uint8 (rows, H, W, 3): pixels exist for one batch
    at a time, since all candidates of the paper's 30,000 captions would fill terabytes.
    """
    clip.eval()
    scores = np.empty(len(captions) * num_candidates, dtype=np.float32)
    with autocast(_device(clip), precision):
        text_embeddings = encode_captions(clip, tokenizer, captions, batch_size=batch_size)
    for start in track(range(0, len(scores), batch_size), what="clip scores", unit=f"x {batch_size} images"):
        rows = slice(start, min(start + batch_size, len(scores)))
        pixels = images_to_tensor(images(rows)).to(_device(clip))
        with autocast(_device(clip), precision):
            image_embeddings = encode_images(clip, pixels)
        owners = torch.arange(rows.start, rows.stop, device=image_embeddings.device) // num_candidates
        scores[rows] = (image_embeddings * text_embeddings[owners]).sum(dim=-1).float().cpu().numpy()
    return scores.reshape(len(captions), num_candidates)


@torch.inference_mode()
def encode_captions(clip: "open_clip.CLIP", tokenizer: CaptionTokenizer, captions: Sequence[str], *, batch_size: int) -> Tensor:
    """Unit vectors float32 (C, D)."""
    text_tokens = clip_text_tokens(tokenizer, captions, clip.context_length).to(_device(clip))
    return torch.cat([encode_text(clip, batch) for batch in text_tokens.split(batch_size)])


def _device(clip: "open_clip.CLIP") -> str:
    return str(clip.logit_scale.device)
