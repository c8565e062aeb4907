"""The curves of a training: a local file first, MLflow on top, and a table without times for reports/."""

import csv
import json
import math
import os
import statistics
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import IO

import numpy as np

from harness.tracker import Tracker

TIMED_GROUPS = ("time/", "throughput/", "system/")  # differ between two identical runs: tracked, never exported


TRAINING = "train/"


class Curves:
    """A `dalle.training.log.Log` that survives the process: one JSON line a point in `path`.

    `before_first` is called before the first point is taken, `on_flush` when a checkpoint is about to be written.
    """

    def __init__(
        self, path: Path, tracker: Tracker, *, before_first: Callable[[], None], on_flush: Callable[[], None]
    ) -> None:
        self._path, self._tracker, self._before_first, self._on_flush = path, tracker, before_first, on_flush
        self._file: IO[str] | None = None
        self._sent_images: set[tuple[str, int]] = set()
        self._last: tuple[int, float] | None = None  # step and time of the last report
        self._rates: list[float] = []
        self._declared = False

    def __call__(self, step: int, metrics: Mapping[str, float]) -> None:
        metrics = {key: float(value) for key, value in metrics.items()}
        lasting = {key: value for key, value in metrics.items() if not key.startswith(TIMED_GROUPS)}
        if lasting:
            if not self._declared:
                self._before_first()
                self._declared = True
            self._write({"step": step, "metrics": lasting})
        trained = any(key.startswith(TRAINING) for key in metrics)  # a model that is only validated has no rate
        self._tracker.metrics(step, {**metrics, **(self._rate(step) if trained else {})})

    def image(self, name: str, step: int, image: np.ndarray) -> None:
        if (name, step) in self._sent_images:
            return
        self._tracker.image(name, step, image)
        self._write({"step": step, "image": name})

    def flush(self) -> None:
        self._tracker.flush()
        if self._file is not None:
            os.fsync(self._file.fileno())
        self._on_flush()

    def resume(self, step: int) -> None:
        """Drop what was reported for updates >= `step`, here; what MLflow has of them stays and is not sent twice."""
        lines = self._read()
        self._sent_images = {(line["image"], line["step"]) for line in lines if "image" in line}
        self.close()
        self._path.parent.mkdir(parents=True, exist_ok=True)
        temporary = self._path.with_name(self._path.name + ".tmp")
        temporary.write_text("".join(json.dumps(line) + "\n" for line in lines if line["step"] < step or "image" in line))
        os.replace(temporary, self._path)
        self._file = open(self._path, "a", encoding="utf-8")
        self._last = (step - 1, time.monotonic())
        for kept, point in self.points().items():
            self._tracker.metrics(kept, point)  # for a server that does not have them yet

    def export(self, path: Path) -> None:
        """Write the table: `step` and a column a metric, sorted, empty where a metric was not reported."""
        points = self.points()
        columns = sorted({key for point in points.values() for key in point})
        with open(path, "w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(["step", *columns])
            for step, point in sorted(points.items()):
                writer.writerow([step, *(f"{point[key]:.6g}" if key in point else "" for key in columns)])

    def points(self) -> dict[int, dict[str, float]]:
        """Everything reported so far by step."""
        points: dict[int, dict[str, float]] = {}
        for line in self._read() if self._file is not None else []:
            points.setdefault(line["step"], {}).update(line.get("metrics", {}))
        return {step: point for step, point in points.items() if point}

    def updates_per_second(self) -> float:
        """The median rate between reports, so that a validation does not count; nan where nothing was done."""
        return statistics.median(self._rates) if self._rates else math.nan

    def close(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None

    def _rate(self, step: int) -> dict[str, float]:
        now, last = time.monotonic(), self._last
        if last is not None and step <= last[0]:
            return {}
        self._last = (step, now)
        if last is None:
            return {}
        self._rates.append((step - last[0]) / max(now - last[1], 1e-9))
        return {"throughput/updates_per_second": self._rates[-1]}

    def _write(self, line: Mapping[str, object]) -> None:
        if self._file is None:  # nothing was resumed: what an earlier attempt left is not ours
            self.resume(0)
            self._last = None
        assert self._file is not None
        self._file.write(json.dumps(line) + "\n")
        self._file.flush()  # to the system: a killed process loses nothing

    def _read(self) -> list[dict]:
        """The complete lines; a process killed while writing leaves half a line at the end."""
        if not self._path.exists():
            return []
        return [json.loads(line) for line in self._path.read_text(encoding="utf-8").split("\n")[:-1]]
