"""What a stage tells of itself while it runs, to whoever keeps it; the one here keeps nothing."""

import traceback
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

Status = Literal["FINISHED", "FAILED", "KILLED"]


@dataclass(frozen=True, kw_only=True)
class RunFacts:
    """What is known of a run before it starts; `stage` and `key` together tell which run a restarted stage continues."""

    stage: str  # train_dvae or sample@coco
    name: str
    key: str
    params: Mapping[str, Any]
    tags: Mapping[str, str]
    datasets: Sequence[tuple[str, str]]  # (path, digest)


class Tracker:
    """Tracking switched off: takes everything, keeps nothing."""

    run_id: str | None = None

    def metrics(self, step: int, metrics: Mapping[str, float]) -> None:
        pass

    def image(self, name: str, step: int, image: np.ndarray) -> None:
        pass

    def resume(self) -> None:
        """Points already sent are not sent again: MLflow cannot delete them, and the same update gives the same ones."""

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
