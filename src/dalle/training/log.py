"""Where a training reports to: any object with these four methods."""

from collections.abc import Mapping
from typing import Protocol

import numpy as np


class Log(Protocol):
    """Receives metrics by update; `flush` comes before each checkpoint, `resume` after one was loaded."""

    def __call__(self, step: int, metrics: Mapping[str, float]) -> None: ...

    def image(self, name: str, step: int, image: np.ndarray) -> None:
        """A picture to look at: uint8, (H, W, 3)."""

    def flush(self) -> None: ...

    def resume(self, step: int) -> None:
        """Forget whatever was reported for updates >= `step`: they will be done again."""


class MemoryLog:
    """Keeps everything in lists: for tests and notebooks."""

    def __init__(self) -> None:
        self.points: list[tuple[int, dict[str, float]]] = []
        self.images: list[tuple[str, int, np.ndarray]] = []

    def __call__(self, step: int, metrics: Mapping[str, float]) -> None:
        self.points.append((step, dict(metrics)))

    def image(self, name: str, step: int, image: np.ndarray) -> None:
        self.images.append((name, step, image))

    def flush(self) -> None:
        pass

    def resume(self, step: int) -> None:
        self.points = [point for point in self.points if point[0] < step]
        self.images = [image for image in self.images if image[1] < step]
