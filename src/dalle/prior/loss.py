"""The prior's objective: text and image cross-entropy, each a mean over its own tokens, weighted (PAPER 3.5)."""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from dalle.prior.kinds import AnyPrior


class Losses(NamedTuple):
    """Nats per token; `num_text` and `num_image` tokens were counted."""

    text: Tensor
    image: Tensor
    num_text: int
    num_image: int

    def total(self, image_loss_weight: float) -> Tensor:
        """(1 - w) * text + w * image."""
        return (1 - image_loss_weight) * self.text + image_loss_weight * self.image


def prior_losses(prior: AnyPrior, text_tokens: Tensor, image_tokens: Tensor, *, loss_on_padding: bool) -> Losses:
    """Cross-entropies of text tokens (B, T) and image tokens (B, G*G) under the prior.

    Text logits are computed for the counted positions only.
    """
    text_hidden, image_hidden = prior.hidden(text_tokens, image_tokens)
    counted = counted_text(text_tokens, prior.config.text_vocab_size, loss_on_padding)
    targets = text_tokens[counted]
    text = F.cross_entropy(prior.text_logits(text_hidden[counted]), targets)
    image = F.cross_entropy(prior.image_logits(image_hidden).flatten(0, 1), image_tokens.flatten())
    return Losses(text, image, len(targets), image_tokens.numel())


def counted_text(text_tokens: Tensor, text_vocab_size: int, loss_on_padding: bool) -> Tensor:
    """Which text tokens the loss counts, boolean (B, T).

    Without padding these are the caption's tokens and the first padding token, which says that the caption has ended.
    The paper does not say which of the two it means (PAPER 9.4).
    """
    if loss_on_padding:
        return torch.ones_like(text_tokens, dtype=torch.bool)
    is_text = text_tokens < text_vocab_size
    follows_text = torch.cat([torch.ones_like(is_text[:, :1]), is_text[:, :-1]], 1)
    return is_text | follows_text
