"""The symmetric contrastive loss (Radford et al. 2021) over one batch, repeated captions set aside."""

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy


def contrastive_loss(
    image_embeddings: Tensor,
    text_embeddings: Tensor,
    logit_scale: Tensor,
    same_caption: Tensor,
    *,
    negative_images: Tensor | None = None,
    negative_text: Tensor | None = None,
    has_negative_text: Tensor | None = None,
) -> Tensor:
    """Mean of image -> text and text -> image cross-entropy, unit vectors (B, D), in nats.

    `same_caption` (B, B) bool tells which pairs share a caption. In a closed grammar they are many; the other image of an
    equal caption is no negative, so it leaves the softmax. An image is also told from its own `negative_text` (B, D), where
    `has_negative_text` (B,) says that there is one; the last captions of the batch from their own `negative_images` (B', n, D).
    """
    # float32 whatever the autocast: at a scale of 100 rounding to bf16 moves a logit by 0.16
    with torch.autocast(image_embeddings.device.type, enabled=False):
        images, text, scale = map(_at_least_float32, (image_embeddings, text_embeddings, logit_scale))
        logits = scale * images @ text.T
        others = same_caption & ~torch.eye(len(logits), dtype=torch.bool, device=logits.device)
        logits = logits.masked_fill(others, float("-inf"))
        to_text, to_image = [logits], [logits.T]
        if negative_text is not None:
            wrong = scale * (images * _at_least_float32(negative_text)).sum(1)
            to_text.append(wrong.masked_fill(~has_negative_text, float("-inf"))[:, None])
        if negative_images is not None:
            pairs, number = negative_images.shape[:2]
            wrong = scale * (_at_least_float32(negative_images) * text[-pairs:, None]).sum(2)
            absent = wrong.new_full((len(text) - pairs, number), float("-inf"))
            to_image.append(torch.cat([absent, wrong]))
        targets = torch.arange(len(logits), device=logits.device)
        return (cross_entropy(torch.cat(to_text, 1), targets) + cross_entropy(torch.cat(to_image, 1), targets)) / 2


def _at_least_float32(numbers: Tensor) -> Tensor:
    return numbers.to(torch.promote_types(numbers.dtype, torch.float32))
