"""Exponential moving average of parameters, used for every evaluation and every saved model (PAPER A.2, B.2)."""

import torch
from torch import nn


class ExponentialMovingAverage:
    """Shadow copy of a model's parameters in float32: every `every` updates, shadow <- decay shadow + (1 - decay) parameter.

    Copy number n uses the decay (1 + n) / (10 + n) where that is smaller, so that a short run is not an average over its
    own initialisation.
    """

    def __init__(self, model: nn.Module, *, decay: float, every: int) -> None:
        if not 0 <= decay < 1:
            raise ValueError(f"ema decay must be in [0, 1), got {decay}")
        if every < 1:
            raise ValueError(f"ema every must be at least 1, got {every}")
        self.decay, self.every, self.num_copies = decay, every, 0
        self.shadow = {name: value.detach().float().clone() for name, value in model.state_dict().items()}

    @torch.no_grad()
    def update(self, model: nn.Module, step: int) -> None:
        """Take in the parameters after update number `step` (counted from 0)."""
        if (step + 1) % self.every:
            return
        self.num_copies += 1
        decay = min(self.decay, (1 + self.num_copies) / (10 + self.num_copies))
        values = [value.detach().float() for value in model.state_dict().values()]
        torch._foreach_lerp_(list(self.shadow.values()), values, 1 - decay)

    def copy_to(self, model: nn.Module) -> None:
        """Overwrite the parameters of `model` with the averaged ones."""
        model.load_state_dict(self.shadow)

    def state_dict(self) -> dict:
        return {"shadow": self.shadow, "num_copies": self.num_copies}

    def load_state_dict(self, state: dict) -> None:
        self.num_copies = state["num_copies"]
        for name, value in state["shadow"].items():
            self.shadow[name].copy_(value)
