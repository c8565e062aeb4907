"""The one loop that trains everything: resumable, averaged, reported, and ignorant of what it trains."""

import math
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, Literal, TypeVar

import torch
from torch import Tensor, nn

from dalle.progress import track
from dalle.training.adamw import AdamW
from dalle.training.averaging import ExponentialMovingAverage
from dalle.training.checkpoint import Checkpoint
from dalle.training.log import Log
from dalle.training.muon import Muon, hidden_matrices
from dalle.training.precision import Precision, autocast
from dalle.training.schedules import PlateauHalving, PlateauRule, Schedule

R = TypeVar("R")
Batch = Any
Losses = tuple[Tensor, Mapping[str, Tensor | float]]
LossFunction = Callable[[nn.Module, Batch, int, int], Losses]


@dataclass(frozen=True, kw_only=True)
class OptimConfig:
    """AdamW or Muon with a step-size schedule, clipping and parameter averaging: what every training here uses.

    `shards` splits each batch into equal parts whose gradients are averaged. On the CPU the parts are computed side by
    side, one core each, which for convolutions is much faster than several threads inside each of them: their backward
    pass spins at barriers and collapses as soon as anything else wants a core. The split is part of the arithmetic, so
    the weights do not depend on how many cores there are. Losses that compare the items of a batch need 1.

    With a `plateau` rule the step size, then constant but for its warm-up, is halved as the training loss demands.
    """

    optimizer: Literal["adamw", "muon"] = "adamw"
    updates: int
    batch_size: int
    shards: int
    learning_rate: Schedule
    plateau: PlateauRule | None
    betas: tuple[float, ...]
    eps: float
    weight_decay: float
    clip_norm: float | None
    ema_decay: float
    ema_every: int
    precision: Precision
    validate_every: int

    def __post_init__(self) -> None:
        if self.updates < 0:
            raise ValueError(f"updates must not be negative, got {self.updates}")
        for name in ("batch_size", "shards", "validate_every"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")
        if self.batch_size % self.shards:
            raise ValueError(f"batch_size {self.batch_size} cannot be split into {self.shards} equal shards")
        if self.plateau is not None and self.learning_rate.shape != "constant":
            raise ValueError(
                "plateau halves a step size that is constant after its warm-up, and learning_rate.shape is "
                f"{self.learning_rate.shape}: make that constant, or plateau null"
            )
        if len(self.betas) != 2:
            raise ValueError(f"betas must be two numbers, got {list(self.betas)}")


@dataclass(frozen=True, kw_only=True)
class RunOptions:
    """How a training is run; none of it can change the weights that come out."""

    device: str
    data_workers: int
    log_every: int
    checkpoint_seconds: float


@dataclass
class TrainingState:
    """All that a resumed training needs; what is not in here is not state."""

    model: nn.Module
    optimizer: AdamW | Muon
    ema: ExponentialMovingAverage
    plateau: PlateauHalving | None
    step: int = 0
    sums: dict[str, float] = field(default_factory=dict)  # metrics since the last report
    num_summed: int = 0

    def state_dict(self) -> dict[str, Any]:
        return {
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "ema": self.ema.state_dict(),
            "plateau": self.plateau and self.plateau.state_dict(),
            "step": self.step,
            "sums": self.sums,
            "num_summed": self.num_summed,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.ema.load_state_dict(state["ema"])
        if self.plateau is not None:
            self.plateau.load_state_dict(state["plateau"])
        self.step, self.sums, self.num_summed = state["step"], state["sums"], state["num_summed"]


def train(
    model: nn.Module,
    *,
    what: str,
    batch_at: Callable[[int], Batch],
    loss_function: LossFunction,
    validate: Callable[[nn.Module, int], Mapping[str, float]],
    optim: OptimConfig,
    options: RunOptions,
    checkpoint: Checkpoint,
    log: Log,
    end_update: Callable[[int], None] | None = None,
) -> dict[str, float]:
    """Train `model` in place for `optim.updates` updates and leave the averaged parameters in it.

    `batch_at(step)` is a pure function of the update's number (it runs in threads, ahead of time);
    `loss_function(model, batch, step, shard)` gives the loss and the metrics to report, of one shard of the batch (its noise
    is a function of step and shard); `end_update(step)` is called when the optimiser has moved the parameters, for what a
    model changes by other means; `validate` gets the model with averaged parameters and returns `valid/...` metrics.
    Returns the last validation's metrics. A run that finds a checkpoint goes on from it and ends with the same weights.
    """
    ema = ExponentialMovingAverage(model, decay=optim.ema_decay, every=optim.ema_every)
    state = TrainingState(model, optimizer_of(model, optim), ema, optim.plateau and PlateauHalving(optim.plateau))
    saved = checkpoint.load()
    if saved is not None:
        state.load_state_dict(saved)
    log.resume(state.step)
    last_saved = time.monotonic()
    steps = track(range(state.step, optim.updates), what=what, unit="updates", total=optim.updates, initial=state.step)
    for step, batch in zip(steps, prefetched(batch_at, state.step, optim.updates, options.data_workers), strict=True):
        _update(state, to_device(batch, options.device), loss_function, end_update, optim, options)
        if state.step % options.log_every == 0 or state.step == optim.updates:
            log(step, {name: total / state.num_summed for name, total in state.sums.items()})
            state.sums, state.num_summed = {}, 0
        if state.step % optim.validate_every == 0 and state.step < optim.updates:
            log(step, _validate_averaged(state, validate, step))
        if time.monotonic() - last_saved > options.checkpoint_seconds and state.step < optim.updates:
            log.flush()
            checkpoint.save(state.state_dict())
            last_saved = time.monotonic()
    state.ema.copy_to(model)
    model.eval()
    last = max(optim.updates - 1, 0)
    metrics = dict(validate(model, last))
    log(last, metrics)
    log.flush()
    return metrics


def optimizer_of(model: nn.Module, optim: OptimConfig) -> AdamW | Muon:
    """Decays matrices and kernels only, not gains, biases or embeddings' position tables of one dimension."""
    rate, hidden = optim.learning_rate.at(0), hidden_matrices(model) if optim.optimizer == "muon" else []
    moved = {id(matrix) for matrix in hidden}
    others = [p for p in model.parameters() if p.requires_grad and id(p) not in moved]
    decayed, plain = [p for p in others if p.ndim >= 2], [p for p in others if p.ndim < 2]
    groups = [{"params": decayed, "weight_decay": optim.weight_decay}, {"params": plain, "weight_decay": 0.0}]
    groups = [group for group in groups if group["params"]]
    adamw = AdamW(groups, learning_rate=rate, betas=optim.betas, eps=optim.eps)
    return Muon(hidden, optim.weight_decay, adamw, learning_rate=rate) if hidden else adamw


def prefetched(batch_at: Callable[[int], Batch], start: int, stop: int, num_workers: int) -> Iterator[Batch]:
    """`batch_at(start), batch_at(start + 1), ...` in order, up to two batches a worker made ahead in threads."""
    if num_workers == 0:
        yield from map(batch_at, range(start, stop))
        return
    with ThreadPoolExecutor(num_workers, thread_name_prefix="data") as pool:
        upcoming: deque = deque()
        try:
            for step in range(start, stop):
                while len(upcoming) < 2 * num_workers and step + len(upcoming) < stop:
                    upcoming.append(pool.submit(batch_at, step + len(upcoming)))
                yield upcoming.popleft().result()
        finally:
            for future in upcoming:
                future.cancel()


def to_device(batch: Batch, device: str) -> Batch:
    """Move every tensor of a (possibly nested) batch."""
    if isinstance(batch, Tensor):
        return batch.to(device, non_blocking=True)
    if isinstance(batch, Mapping):
        return {name: to_device(value, device) for name, value in batch.items()}
    if isinstance(batch, tuple | list):
        return type(batch)(to_device(value, device) for value in batch)
    return batch


def _update(
    state: TrainingState,
    batch: Batch,
    loss_function: LossFunction,
    end_update: Callable[[int], None] | None,
    optim: OptimConfig,
    options: RunOptions,
) -> None:
    state.model.train()
    for group in state.optimizer.param_groups:
        group["lr"] = optim.learning_rate.at(state.step) * (state.plateau.factor if state.plateau else 1)
    loss, metrics = _set_gradients(state, batch, loss_function, optim, options)
    if optim.clip_norm is not None:
        metrics["train/grad_norm"] = float(nn.utils.clip_grad_norm_(state.model.parameters(), optim.clip_norm))
    state.optimizer.step()
    if end_update is not None:
        end_update(state.step)
    state.ema.update(state.model, state.step)
    if state.plateau is not None and state.step >= optim.learning_rate.warmup_updates:
        state.plateau.see(loss)
    state.step += 1
    for name, value in {**metrics, "schedule/learning_rate": state.optimizer.param_groups[0]["lr"]}.items():
        state.sums[name] = state.sums.get(name, 0.0) + value
    state.num_summed += 1
    if not math.isfinite(loss):
        raise FloatingPointError(f"the loss is {loss} at update {state.step - 1}: lower the step size or look at the data")


def _set_gradients(
    state: TrainingState, batch: Batch, loss_function: LossFunction, optim: OptimConfig, options: RunOptions
) -> tuple[float, dict[str, float]]:
    """Leave the batch's gradient in the parameters; return the loss and the metrics, each a mean over the shards."""
    parameters = [p for p in state.model.parameters() if p.requires_grad]

    def gradient(shard: int) -> tuple[tuple[Tensor, ...], float, dict[str, float]]:
        with autocast(options.device, optim.precision, cache=False):
            loss, metrics = loss_function(state.model, shard_of(batch, shard, optim.shards), state.step, shard)
        gradients = torch.autograd.grad(loss, parameters)
        return gradients, float(loss.detach()), {name: float(value) for name, value in metrics.items()}

    gradients, losses, metrics = zip(*_side_by_side(gradient, optim.shards, options.device), strict=True)
    set_mean_gradients(parameters, gradients)
    means = {name: sum(part[name] for part in metrics) / optim.shards for name in metrics[0]}
    return sum(losses) / optim.shards, means


def set_mean_gradients(parameters: Sequence[nn.Parameter], shards: Sequence[Sequence[Tensor]]) -> None:
    """Leave in each parameter's `grad` the mean of what the shards found, laid out in memory as the parameter is.

    Fused AdamW walks through memory: a gradient laid out unlike its channels_last parameter would be scrambled.
    """
    means = list(shards[0])
    for shard in shards[1:]:
        means = torch._foreach_add(means, shard)
    for parameter in parameters:
        if parameter.grad is None:
            parameter.grad = torch.empty_like(parameter)
    torch._foreach_copy_([parameter.grad for parameter in parameters], torch._foreach_div(means, len(shards)))


def _side_by_side(work: Callable[[int], R], shards: int, device: str) -> list[R]:
    """`work(0), work(1), ...`: on the CPU in threads, each on one core; elsewhere one after the other."""
    if shards == 1 or device != "cpu":
        return list(map(work, range(shards)))
    with ThreadPoolExecutor(shards, initializer=torch.set_num_threads, initargs=(1,)) as pool:
        return list(pool.map(work, range(shards)))


def shard_of(batch: Batch, shard: int, shards: int) -> Batch:
    """Part number `shard` of a (possibly nested) batch."""
    if shards == 1:
        return batch
    if isinstance(batch, Tensor):
        return batch.chunk(shards)[shard]
    if isinstance(batch, Mapping):
        return {name: shard_of(value, shard, shards) for name, value in batch.items()}
    return type(batch)(shard_of(value, shard, shards) for value in batch)


def _validate_averaged(state: TrainingState, validate: Callable, step: int) -> Mapping[str, float]:
    """Validate with the averaged parameters, then put the trained ones back."""
    trained = {name: value.clone() for name, value in state.model.state_dict().items()}
    state.ema.copy_to(state.model)
    state.model.eval()
    try:
        return validate(state.model, step)
    finally:
        state.model.load_state_dict(trained)
