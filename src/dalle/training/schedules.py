"""Values that change as a training goes on: beta, tau and the step size by the number of updates, plateaus by the losses."""

import dataclasses
import math
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, kw_only=True)
class Schedule:
    """`start` -> `end` over `updates` updates, constant afterwards (PAPER A.2: cosine for beta, tau and the step size).

    `warmup_updates` ramps linearly from 0 to `start` first (PAPER B.2, the prior's step size); the way to `end` begins
    after it and still ends at `updates`.
    """

    shape: Literal["cosine", "linear", "constant"]
    start: float
    end: float
    updates: int
    warmup_updates: int

    def __post_init__(self) -> None:
        if self.shape == "constant" and self.start != self.end:
            raise ValueError(f"a constant schedule needs start == end, got {self.start} and {self.end}")
        if self.updates < 1:
            raise ValueError(f"updates must be at least 1, got {self.updates}")
        if not 0 <= self.warmup_updates < self.updates:
            raise ValueError(f"warmup_updates must be in [0, updates={self.updates}), got {self.warmup_updates}")

    def faster(self, clock: float) -> "Schedule":
        """The same course in 1 / `clock` of the updates: each update moves it on by `clock` of those it is written in."""
        updates = max(1, round(self.updates / clock))
        return dataclasses.replace(self, updates=updates, warmup_updates=min(updates - 1, round(self.warmup_updates / clock)))

    def at(self, step: int) -> float:
        """The value used by update number `step`, counted from 0."""
        if step < self.warmup_updates:
            return self.start * (step + 1) / self.warmup_updates
        progress = min(1.0, (step - self.warmup_updates) / (self.updates - self.warmup_updates))
        if self.shape == "cosine":
            progress = (1 - math.cos(math.pi * progress)) / 2
        return self.start + (self.end - self.start) * progress


@dataclass(frozen=True, kw_only=True)
class PlateauRule:
    """When a step size is halved on plateaus of the training loss (PAPER B.2, which says no more than that and "five times").

    After the warm-up the training is cut into windows of `window` updates. A window whose mean loss is not below the lowest
    mean of the windows before it by more than `threshold` of that (of its absolute value: losses may be negative) is a
    plateau, and the updates after it have half the step size, at most `halvings` times. A `window` has to be long enough
    for its mean to be known to better than `threshold`, or chance alone will halve.
    """

    window: int
    threshold: float
    halvings: int

    def __post_init__(self) -> None:
        for name in ("window", "halvings"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")
        if not 0 <= self.threshold < 1:
            raise ValueError(f"threshold must be in [0, 1), a share of the loss, got {self.threshold}")

    def faster(self, clock: float) -> "PlateauRule":
        """The same rule over 1 / `clock` of the updates."""
        return dataclasses.replace(self, window=max(1, round(self.window / clock)))


@dataclass
class PlateauHalving:
    """A `PlateauRule` at work: what it has made of the losses so far, all of which a checkpoint has to keep."""

    rule: PlateauRule
    num_halvings: int = 0
    lowest_mean: float = math.inf
    window_sum: float = 0.0
    window_count: int = 0

    @property
    def factor(self) -> float:
        """By which the scheduled step size of the next update is multiplied."""
        return 0.5**self.num_halvings

    def see(self, loss: float) -> None:
        """Take in the loss of one update after the warm-up."""
        self.window_sum += loss
        self.window_count += 1
        if self.window_count < self.rule.window:
            return
        mean = self.window_sum / self.window_count
        # the first window has nothing before it, and no part of infinity is a number
        plateau = self.lowest_mean < math.inf and self.lowest_mean - mean <= self.rule.threshold * abs(self.lowest_mean)
        self.num_halvings = min(self.num_halvings + plateau, self.rule.halvings)
        self.lowest_mean = min(self.lowest_mean, mean)
        self.window_sum, self.window_count = 0.0, 0

    def state_dict(self) -> dict[str, float]:
        return {name: value for name, value in vars(self).items() if name != "rule"}

    def load_state_dict(self, state: dict[str, float]) -> None:
        vars(self).update(state)
