"""Muon: matrices move along their momentum made orthogonal (Jordan et al. 2024), everything else by AdamW.

The paper knows AdamW alone.
"""

import math
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import torch
from torch import Tensor, nn

from dalle.training.adamw import AdamW

MOMENTUM = 0.95
ITERATIONS = 5
COEFFICIENTS = (3.4445, -4.7750, 2.0315)  # of the quintic whose iterates bring singular values near 1, Jordan's
RMS = 0.2  # of an update's entries, about AdamW's, so that one step size and one weight decay serve both (Liu et al. 2025)


class Muon:
    """AdamW whose first group, `matrices`, is moved by Muon; kernels (O, I, h, w) count as matrices (O, I * h * w).

    The interface is that of `AdamW`. Each matrix is computed on one core, so the result does not depend on their number.
    """

    def __init__(self, matrices: Sequence[nn.Parameter], weight_decay: float, others: AdamW, *, learning_rate: float) -> None:
        self._others = others
        own = {"params": list(matrices), "weight_decay": weight_decay, "lr": learning_rate}
        self.param_groups = [own, *others.param_groups]
        self._momenta = [torch.zeros_like(matrix.detach()) for matrix in matrices]

    @torch.no_grad()
    def step(self) -> None:
        """One update of all parameters by their gradients."""
        self._others.step()
        own = self.param_groups[0]

        def move(index: int) -> None:
            parameter, momentum = own["params"][index], self._momenta[index]
            momentum.lerp_(parameter.grad, 1 - MOMENTUM)
            ahead = parameter.grad.lerp(momentum, MOMENTUM)  # Nesterov's
            parameter.mul_(1 - own["lr"] * own["weight_decay"]).sub_(direction(ahead), alpha=own["lr"])

        on_gpu, threads = own["params"][0].is_cuda, torch.get_num_threads()
        with ThreadPoolExecutor(1 if on_gpu else threads, initializer=_begin, initargs=(on_gpu,)) as pool:
            list(pool.map(move, range(len(self._momenta))))

    def state_dict(self) -> dict[str, list[list[Tensor]]]:
        return {"momenta": [self._momenta], **self._others.state_dict()}

    @torch.no_grad()
    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take over what `state_dict` gave of an optimiser of the same parameters."""
        self._others.load_state_dict(state)
        for tensor, value in zip(self._momenta, state["momenta"][0], strict=True):
            tensor.copy_(value)


def _begin(on_gpu: bool) -> None:
    torch.set_grad_enabled(False)  # of this thread
    if not on_gpu:
        torch.set_num_threads(1)


def direction(momentum: Tensor) -> Tensor:
    """Along which a matrix or kernel moves, with entries of `RMS` on average.

    A matrix three times as high as wide holds queries, keys and values: each is made orthogonal by itself.
    """
    rows, columns = momentum.shape[0], momentum[0].numel()
    parts = momentum.flatten(1).chunk(3 if rows == 3 * columns else 1)
    scale = RMS * math.sqrt(max(parts[0].shape))
    return torch.cat([orthogonalised(part) for part in parts]).mul_(scale).view(momentum.shape)


def orthogonalised(matrix: Tensor) -> Tensor:
    """A matrix (m, n) with the same singular vectors, its singular values brought near 1 unless they are far below the largest.

    Newton and Schulz's iteration in its quintic form, in float32; a matrix of zeros stays one of zeros.
    """
    a, b, c = COEFFICIENTS
    wide = matrix.T if matrix.shape[0] > matrix.shape[1] else matrix
    wide = wide / (wide.norm() + 1e-7)
    for _ in range(ITERATIONS):
        gram = wide @ wide.T
        wide = torch.addmm(wide, torch.addmm(gram, gram, gram, beta=b, alpha=c), wide, beta=a)
    return wide.T if matrix.shape[0] > matrix.shape[1] else wide


def hidden_matrices(model: nn.Module) -> list[nn.Parameter]:
    """The weights of the linear layers and convolutions that lie within lists of layers: of the prior those of its blocks.

    Embeddings and heads that stand alone are not among them, as Muon's authors advise.
    """
    layers = (nn.Linear, nn.Conv2d)
    lists = [module for module in model.modules() if isinstance(module, nn.ModuleList | nn.Sequential)]
    inner = [layer.weight for of in lists for layer in of.modules() if isinstance(layer, layers)]
    return [weight for weight in dict.fromkeys(inner) if weight.requires_grad]
