"""How generator and discriminator are trained against each other: resumable, averaged, reported, and ignorant of the GAN."""

import math
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from dalle.progress import track
from dalle.training.adamw import AdamW
from dalle.training.averaging import ExponentialMovingAverage
from dalle.training.checkpoint import Checkpoint
from dalle.training.log import Log
from dalle.training.loop import Batch, RunOptions, prefetched, set_mean_gradients, shard_of, to_device
from dalle.training.precision import Precision, autocast
from dalle.training.schedules import Schedule

LossFunction = Callable[[nn.Module, nn.Module, Batch], tuple[Tensor, Mapping[str, Tensor]]]
Validate = Callable[[nn.Module, nn.Module, int], Mapping[str, float]]


@dataclass(frozen=True, kw_only=True)
class AdversarialConfig:
    """Adam for both networks, one update each in turn, and an average of the generator's parameters.

    `shards` as in `training.loop.OptimConfig`: equal parts of a batch, a core each, part of the arithmetic. What a loss
    compares within a batch it compares within a part.
    """

    updates: int
    batch_size: int
    shards: int
    generator_rate: Schedule
    discriminator_rate: Schedule
    betas: tuple[float, ...]
    eps: float
    ema_decay: float
    ema_every: int
    precision: Precision
    validate_every: int

    def __post_init__(self) -> None:
        for name in ("updates", "batch_size", "shards", "validate_every"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")
        if self.batch_size % self.shards:
            raise ValueError(f"batch_size {self.batch_size} cannot be split into {self.shards} equal shards")
        if self.batch_size // self.shards < 2:
            raise ValueError(f"a shard must hold at least 2 pairs, for mismatching ones: batch_size is {self.batch_size}")
        if len(self.betas) != 2:
            raise ValueError(f"betas must be two numbers, got {list(self.betas)}")


@dataclass
class AdversarialState:
    """All that a resumed training needs; what is not in here is not state."""

    generator: nn.Module
    discriminator: nn.Module
    generator_optimizer: AdamW
    discriminator_optimizer: AdamW
    ema: ExponentialMovingAverage
    step: int = 0
    sums: dict[str, float] = field(default_factory=dict)  # metrics since the last report
    num_summed: int = 0

    def state_dict(self) -> dict[str, Any]:
        parts = {name: part.state_dict() for name, part in vars(self).items() if hasattr(part, "state_dict")}
        return {**parts, "step": self.step, "sums": self.sums, "num_summed": self.num_summed}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        for name, value in state.items():
            part = getattr(self, name)
            if hasattr(part, "load_state_dict"):
                part.load_state_dict(value)
            else:
                setattr(self, name, value)


def train_adversarially(
    generator: nn.Module,
    discriminator: nn.Module,
    *,
    what: str,
    batch_at: Callable[[int], Batch],
    discriminator_loss: LossFunction,
    generator_loss: LossFunction,
    validate: Validate,
    config: AdversarialConfig,
    options: RunOptions,
    checkpoint: Checkpoint,
    log: Log,
) -> dict[str, float]:
    """Train both in place, discriminator first, and leave the averaged parameters in the generator.

    `batch_at(step)` is a pure function of the update's number and holds all noise; a loss function gets `generator,
    discriminator, batch` and gives the loss of its own network and metrics; `validate(generator, discriminator, step)` sees
    the averaged generator and returns `valid/...` metrics, the last of which are returned. A run that finds a checkpoint goes
    on from it and ends with the same weights.
    """
    state = AdversarialState(
        generator,
        discriminator,
        _adam(generator, config.generator_rate, config),
        _adam(discriminator, config.discriminator_rate, config),
        ExponentialMovingAverage(generator, decay=config.ema_decay, every=config.ema_every),
    )
    saved = checkpoint.load()
    if saved is not None:
        state.load_state_dict(saved)
    log.resume(state.step)
    last_saved = time.monotonic()
    steps = track(range(state.step, config.updates), what=what, unit="updates", total=config.updates, initial=state.step)
    for step, batch in zip(steps, prefetched(batch_at, state.step, config.updates, options.data_workers), strict=True):
        batch = to_device(batch, options.device)
        metrics = _update(state, state.discriminator_optimizer, config.discriminator_rate, discriminator_loss, batch, config)
        metrics |= _update(state, state.generator_optimizer, config.generator_rate, generator_loss, batch, config)
        state.ema.update(generator, state.step)
        state.step += 1
        for name, value in metrics.items():
            state.sums[name] = state.sums.get(name, 0.0) + value
        state.num_summed += 1
        if state.step % options.log_every == 0 or state.step == config.updates:
            log(step, {name: total / state.num_summed for name, total in state.sums.items()})
            state.sums, state.num_summed = {}, 0
        if state.step % config.validate_every == 0 and state.step < config.updates:
            log(step, _validate_averaged(state, validate, step))
        if time.monotonic() - last_saved > options.checkpoint_seconds and state.step < config.updates:
            log.flush()
            checkpoint.save(state.state_dict())
            last_saved = time.monotonic()
    state.ema.copy_to(generator)
    generator.eval()
    metrics = dict(validate(generator, discriminator, config.updates - 1))
    log(config.updates - 1, metrics)
    log.flush()
    return metrics


def _adam(network: nn.Module, rate: Schedule, config: AdversarialConfig) -> AdamW:
    groups = [{"params": network.parameters(), "weight_decay": 0.0}]
    return AdamW(groups, learning_rate=rate.at(0), betas=config.betas, eps=config.eps)


def _update(
    state: AdversarialState,
    optimizer: AdamW,
    rate: Schedule,
    loss_function: LossFunction,
    batch: Batch,
    config: AdversarialConfig,
) -> dict[str, float]:
    """One step of one network; the metrics are means over the shards."""
    (group,) = optimizer.param_groups
    group["lr"] = rate.at(state.step)
    device = group["params"][0].device

    def gradient(shard: int) -> tuple[tuple[Tensor, ...], dict[str, float]]:
        with autocast(device.type, config.precision, cache=False):
            loss, metrics = loss_function(state.generator, state.discriminator, shard_of(batch, shard, config.shards))
        gradients = torch.autograd.grad(loss, group["params"])
        return gradients, {name: float(value) for name, value in metrics.items()}

    gradients, metrics = zip(*_side_by_side(gradient, config.shards, device), strict=True)
    set_mean_gradients(group["params"], gradients)
    optimizer.step()
    means = {name: sum(part[name] for part in metrics) / config.shards for name in metrics[0]}
    for name, value in means.items():
        if not math.isfinite(value):
            raise FloatingPointError(f"{name} is {value} at update {state.step}: lower the step sizes or look at the data")
    return means


def _side_by_side(work: Callable[[int], Any], shards: int, device: torch.device) -> list[Any]:
    """`work(0), work(1), ...`: on the CPU in threads, each on one core; elsewhere one after the other."""
    if shards == 1 or device.type != "cpu":
        return list(map(work, range(shards)))
    with ThreadPoolExecutor(shards, initializer=torch.set_num_threads, initargs=(1,)) as pool:
        return list(pool.map(work, range(shards)))


def _validate_averaged(state: AdversarialState, validate: Validate, step: int) -> Mapping[str, float]:
    """Validate with the averaged generator, then put the trained one back."""
    trained = {name: value.clone() for name, value in state.generator.state_dict().items()}
    state.ema.copy_to(state.generator)
    state.generator.eval()
    try:
        return validate(state.generator, state.discriminator, step)
    finally:
        state.generator.load_state_dict(trained)
        state.generator.train()
