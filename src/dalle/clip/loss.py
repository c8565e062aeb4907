"""The symmetric contrastive loss (Radford et al. 2021) over one batch, repeated captions set aside."""

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy


def contrastive_loss(image_embeddings: Tensor, text_embeddings: Tensor, logit_scale: Tensor, same_caption: Tensor) -> Tensor:
    """Mean of image -> text and text -> image cross-entropy, unit vectors (B, D), in nats.

    `same_caption` (B, B) bool tells which pairs share a caption. In a closed grammar they are many; the other image of an
    equal caption is no negative, so it leaves the softmax.
    """
    logits = logit_scale * image_embeddings @ text_embeddings.T
    others = same_caption & ~torch.eye(len(logits), dtype=torch.bool, device=logits.device)
    logits = logits.masked_fill(others, float("-inf"))
    targets = torch.arange(len(logits), device=logits.device)
    return (cross_entropy(logits, targets) + cross_entropy(logits.T, targets)) / 2
