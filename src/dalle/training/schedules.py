"""Values that change with the number of updates done: beta, tau and the step size of every training."""

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
