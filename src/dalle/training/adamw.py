"""AdamW by torch's fused kernel, one call a group of parameters.

`torch.optim` computes the same bits, but its first optimiser imports torch's compiler, which takes over a second of every
stage that trains, and nothing here is compiled.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor


class AdamW:
    """Adam whose weight decay acts on the parameters, not on their gradients (Loshchilov and Hutter 2019); 0 is Adam itself.

    `groups` are mappings with `params` and `weight_decay`; in `param_groups` each has its step size, `lr`, which may be set
    before any step. Every parameter must have a gradient that is laid out in memory as it is itself.
    """

    def __init__(
        self, groups: Sequence[Mapping[str, Any]], *, learning_rate: float, betas: Sequence[float], eps: float
    ) -> None:
        self.param_groups = [{**group, "params": list(group["params"]), "lr": learning_rate} for group in groups]
        (self._beta1, self._beta2), self._eps = betas, eps
        parameters = [[value.detach() for value in group["params"]] for group in self.param_groups]
        self._means = [[torch.zeros_like(value) for value in values] for values in parameters]
        self._squares = [[torch.zeros_like(value) for value in values] for values in parameters]
        self._steps = [[torch.zeros((), device=value.device) for value in values] for values in parameters]

    @torch.no_grad()
    def step(self) -> None:
        """One update of all parameters by their gradients."""
        for group, means, squares, steps in zip(self.param_groups, self._means, self._squares, self._steps, strict=True):
            torch._foreach_add_(steps, 1)
            torch._fused_adamw_(
                group["params"],
                [parameter.grad for parameter in group["params"]],
                means,
                squares,
                [],
                steps,
                amsgrad=False,
                lr=group["lr"],
                beta1=self._beta1,
                beta2=self._beta2,
                weight_decay=group["weight_decay"],
                eps=self._eps,
                maximize=False,
            )

    def state_dict(self) -> dict[str, list[list[Tensor]]]:
        return {"means": self._means, "squares": self._squares, "steps": self._steps}

    @torch.no_grad()
    def load_state_dict(self, state: Mapping[str, list[list[Tensor]]]) -> None:
        """Take over what `state_dict` gave of an optimiser of the same parameters."""
        for name, own in self.state_dict().items():
            for into, saved in zip(own, state[name], strict=True):
                for tensor, value in zip(into, saved, strict=True):
                    tensor.copy_(value)
