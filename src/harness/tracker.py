"""What a stage tells of itself while it runs, to whoever keeps it; the tracker here keeps nothing."""

import traceback
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

Status = Literal["FINISHED", "FAILED", "KILLED"]


@dataclass(frozen=True, kw_only=True)
class RunFacts:
    """What is known of a run before it starts; all of it can be written as JSON.

    `run` is the run's own name for ever, 32 hexadecimal digits, the same in every attempt of a stage that is killed and
    goes on. `params` are all that the result depends on, those of the stages before included.
    """

    run: str
    attempt: int  # 0 for the first
    stage: str  # train_dvae or sample@coco
    name: str
    experiment: str
    params: Mapping[str, Any]
    tags: Mapping[str, str]
    upstream: Mapping[str, str | None]  # run by stage label
    datasets: Sequence[Sequence[str]]  # (path, digest)
    system_metrics: bool


class Tracker:
    """Tracking switched off: takes everything, keeps nothing."""

    run: str | None = None

    def metrics(self, step: int, metrics: Mapping[str, float]) -> None:
        pass

    def image(self, name: str, step: int, image: np.ndarray) -> None:
        pass

    def flush(self) -> None:
        pass

    def text(self, name: str, content: str) -> None:
        pass

    def end(self, status: Status) -> None:
        pass


@contextmanager
def recorded(tracker: Tracker) -> Iterator[None]:
    """Give the run its true end, whatever happens inside: MLflow itself shows a crash as FINISHED and a SIGTERM as RUNNING."""
    try:
        yield
    except KeyboardInterrupt:
        tracker.end("KILLED")
        raise
    except BaseException:
        tracker.text("error.txt", traceback.format_exc())
        tracker.end("FAILED")
        raise
    tracker.end("FINISHED")
