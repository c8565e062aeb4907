"""InfoNCE between every picture of a batch and an altered copy of it (van den Oord et al. 2018)."""

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy


def info_nce(originals: Tensor, copies: Tensor, temperature: float, same_picture: Tensor) -> Tensor:
    """Mean cross-entropy in nats of telling a picture's other view from all other views, unit vectors (B, D) of both.

    Each of the 2 B views is asked in turn. `same_picture` (B, B) bool tells which rows are one picture: where a batch has it
    twice, its other views are no wrong answers and leave the softmax.
    """
    views, num = torch.cat([originals, copies]), len(originals)
    rows = torch.arange(2 * num, device=views.device)
    partners = rows.roll(num)
    others = same_picture.repeat(2, 2)
    others[rows, partners] = False
    with torch.autocast(views.device.type, enabled=False):  # bf16 tells no cosines near 1 apart
        logits = (views @ views.T / temperature).masked_fill(others, float("-inf"))
        return cross_entropy(logits, partners)
