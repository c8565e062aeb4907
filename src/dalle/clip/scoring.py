"""Similarities between captions and their candidate images (PAPER 5)."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

import numpy as np
import torch
from torch import Tensor

from dalle.clip.model import clip_text_tokens, encode_images, encode_text, images_to_tensor
from dalle.data.bpe import CaptionTokenizer
from dalle.progress import track
from dalle.training.precision import autocast

if TYPE_CHECKING:
    import open_clip


@torch.inference_mode()
def clip_scores(
    clip: "open_clip.CLIP",
    tokenizer: CaptionTokenizer,
    captions: Sequence[str],
    images: np.ndarray,
    *,
    batch_size: int = 256,
    precision: Literal["bf16", "fp32"] = "fp32",
) -> np.ndarray:
    """Cosine similarities float32 (C, N) of C captions with N candidates each; `images` are uint8 (C, N, H, W, 3).

    A caption is encoded once. `images` may be a memory map: one batch of it is in memory at a time.
    """
    if images.ndim != 5 or images.shape[0] != len(captions):
        raise ValueError(f"images must be (captions, candidates, H, W, 3) with {len(captions)} captions, got {images.shape}")
    clip.eval()
    num_captions, num_candidates = images.shape[:2]
    flat = images.reshape(-1, *images.shape[2:])
    starts = range(0, len(flat), batch_size)
    with autocast(_device(clip), precision):
        text_embeddings = encode_captions(clip, tokenizer, captions, batch_size=batch_size)
        similarities = []
        for start in track(starts, what="clip scores", unit="batches"):
            image_embeddings = encode_images(clip, images_to_tensor(flat[start : start + batch_size]).to(_device(clip)))
            owners = torch.arange(start, start + len(image_embeddings), device=image_embeddings.device) // num_candidates
            similarities.append((image_embeddings * text_embeddings[owners]).sum(dim=-1))
    return torch.cat(similarities).float().cpu().numpy().reshape(num_captions, num_candidates)


@torch.inference_mode()
def encode_captions(clip: "open_clip.CLIP", tokenizer: CaptionTokenizer, captions: Sequence[str], *, batch_size: int) -> Tensor:
    """Unit vectors float32 (C, D)."""
    text_tokens = clip_text_tokens(tokenizer, captions, clip.context_length).to(_device(clip))
    return torch.cat([encode_text(clip, batch) for batch in text_tokens.split(batch_size)])


def _device(clip: "open_clip.CLIP") -> str:
    return str(clip.logit_scale.device)
