"""The DAMSM loss (Xu et al. 2018, AttnGAN, section 3.2): words against regions, sentences against pictures, both ways.

The symbols are the paper's: e words, v regions, s what they have in common, alpha attention, c the context of a word, R how
well a picture and a caption match. Shapes: B captions of T words, K pictures of R regions, D numbers for each of all these.
"""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy, normalize

TINY = 1e-8  # a length below which a vector has no direction, as in AttnGAN's code


@dataclass(frozen=True, kw_only=True)
class Gammas:
    """Sharpness: `gamma1` of a word's attention to regions, `gamma2` of a match's to its best words, `gamma3` of the choice."""

    gamma1: float
    gamma2: float
    gamma3: float

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if value <= 0:
                raise ValueError(f"{name} must be above 0, got {value}")


def word_matches(e: Tensor, is_word: Tensor, v: Tensor, gammas: Gammas) -> Tensor:
    """R(Q, D) of every picture with every caption, (K, B): words e (B, D, T) where `is_word` (B, T), regions v (K, D, R).

    Equation 10 also takes the root of order gamma2 of the sum; AttnGAN's code, with which its encoders were
    trained, does not, nor do we. Of c only its length and its product with e are needed, and both follow from products that
    exist: c (K, B, T, D) itself, whose making would take most of the time, is never written down.
    """
    no_word = ~is_word
    s = torch.einsum("bdt,kdr->kbtr", e, v)  # 7
    s_bar = s.masked_fill(no_word[:, :, None], float("-inf")).softmax(dim=2)  # 8, over the words
    alpha = (gammas.gamma1 * s_bar).softmax(dim=3)  # 9, over the regions; c = sum of alpha v
    c_dot_e = (alpha * s).sum(dim=3)
    c_dot_c = (alpha * torch.einsum("kbtr,krq->kbtq", alpha, v.mT @ v)).sum(dim=3)
    lengths = c_dot_c.clamp(min=TINY**2).sqrt() * e.norm(dim=1)
    cosines = c_dot_e / lengths.clamp(min=TINY)
    return (gammas.gamma2 * cosines).masked_fill(no_word, float("-inf")).logsumexp(dim=2)  # 10


def sentence_matches(sentences: Tensor, wholes: Tensor) -> Tensor:
    """Cosines (K, B) of every picture (K, D) with every sentence (B, D): the R of wholes."""
    return normalize(wholes, dim=1, eps=TINY) @ normalize(sentences, dim=1, eps=TINY).T


def choice_loss(matches: Tensor, same: Tensor, gamma3: float) -> Tensor:
    """-log P(D|Q) - log P(Q|D), means over the batch in nats (11 to 13), of matches (B, B) whose diagonal is the pairs.

    Where `same` (B, B) bool tells that two pairs share the picture or the caption, neither is a wrong answer for the other,
    and it leaves the softmax; AttnGAN's code does so for pictures of one species.
    """
    others = same & ~torch.eye(len(matches), dtype=torch.bool, device=matches.device)
    logits = (gamma3 * matches).masked_fill(others, float("-inf"))
    targets = torch.arange(len(logits), device=logits.device)
    return cross_entropy(logits, targets) + cross_entropy(logits.T, targets)
