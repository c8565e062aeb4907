"""A linear model whose training can be followed by hand."""

import numpy as np
import torch
from torch import nn

from dalle.training.checkpoint import Checkpoint
from dalle.training.log import MemoryLog
from dalle.training.loop import OptimConfig, RunOptions, train
from dalle.training.schedules import Schedule


def options(**changes) -> RunOptions:
    return RunOptions(**{"device": "cpu", "data_workers": 0, "log_every": 1, "checkpoint_seconds": 1e9, **changes})


def optim(updates: int = 10, **changes) -> OptimConfig:
    values = {
        "updates": updates,
        "batch_size": 8,
        "shards": 1,
        "learning_rate": Schedule(shape="cosine", start=0.1, end=0.01, updates=8, warmup_updates=3),
        "plateau": None,
        "betas": (0.9, 0.99),
        "eps": 1e-8,
        "weight_decay": 0.2,
        "clip_norm": None,
        "ema_decay": 0.6,
        "ema_every": 1,
        "precision": "fp32",
        "validate_every": 1000,
    }
    return OptimConfig(**{**values, **changes})


def linear() -> nn.Linear:
    """A matrix, which is decayed, and a bias, which is not."""
    model = nn.Linear(3, 2)
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_(generator=generator)
    return model


def batch_at(step: int) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(100 + step)
    return torch.randn(8, 3, generator=generator), torch.randn(8, 2, generator=generator)


def squared_error(model, batch, step, shard):
    loss = (model(batch[0]) - batch[1]).square().mean()
    return loss, {"train/loss": loss.detach(), "train/step": step}


def no_validation(model, step):
    return {}


def run(folder, *, model=None, log=None, optim=optim(), options=options(), **parts):
    """Train the linear model: (model, metrics, log)."""
    model, log = model or linear(), log or MemoryLog()
    checkpoint = Checkpoint(folder / "state.pt")
    parts = {"batch_at": batch_at, "loss_function": squared_error, "validate": no_validation, **parts}
    metrics = train(model, what="toy", optim=optim, options=options, checkpoint=checkpoint, log=log, **parts)
    return model, metrics, log


def state_of(model: nn.Module) -> dict[str, torch.Tensor]:
    return {name: value.clone() for name, value in model.state_dict().items()}


def written_out(updates: int, *, clip_norm: float | None = None) -> tuple[list[dict[str, np.ndarray]], list[float]]:
    """AdamW by hand in float64: (parameters before each update and after the last, gradient norms before clipping)."""
    settings, first, second, norms = optim(updates), {}, {}, []
    parameters = {name: value.double().numpy() for name, value in linear().state_dict().items()}
    trajectory = [parameters]
    for step in range(updates):
        inputs, targets = (part.double().numpy() for part in batch_at(step))
        error = inputs @ parameters["weight"].T + parameters["bias"] - targets
        gradients = {"weight": 2 * error.T @ inputs / error.size, "bias": 2 * error.sum(0) / error.size}
        norms.append(np.sqrt(sum((gradient**2).sum() for gradient in gradients.values())))
        shrink = 1.0 if clip_norm is None else min(1.0, clip_norm / norms[-1])
        rate, updated = settings.learning_rate.at(step), {}
        for name, gradient in gradients.items():
            first[name] = 0.9 * first.get(name, 0) + 0.1 * shrink * gradient
            second[name] = 0.99 * second.get(name, 0) + 0.01 * (shrink * gradient) ** 2
            mean, variance = first[name] / (1 - 0.9 ** (step + 1)), second[name] / (1 - 0.99 ** (step + 1))
            kept = 1 - rate * settings.weight_decay if name == "weight" else 1.0
            updated[name] = kept * parameters[name] - rate * mean / (np.sqrt(variance) + 1e-8)
        parameters = updated
        trajectory.append(parameters)
    return trajectory, norms
