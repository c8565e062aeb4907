"""The pairs that the rules have left so far, part by part: never more than a part in memory, and no part worked on twice."""

import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from dalle.data.manifest import num_parts, read_part
from dalle.processes import Processes
from dalle.progress import track

POOL_FROM_PARTS = 4  # below, starting processes costs more than they save

# of a part: the result depends on the pairs and the argument alone, and pickling carries the function to other processes
Work = Callable[..., np.ndarray]


class Parts:
    """A manifest's parts under filtering; `work` of theirs is kept in files of `folder`, where a second attempt finds it.

    The files hold for one manifest and one set of rules: whoever names the folder sees to that.
    """

    def __init__(
        self,
        manifest: Path,
        folder: Path,
        *,
        processes: Processes,
        clip_scores: Callable[[pd.DataFrame], np.ndarray] | None = None,
    ) -> None:
        self.clip_scores = clip_scores
        self._manifest, self._folder, self._processes = manifest, folder, processes
        self._number, self._dropped = num_parts(manifest), []

    def __len__(self) -> int:
        return self._number

    def read(self, number: int) -> pd.DataFrame:
        """What is left of a part; `index` is the row within the part."""
        return _left(self._manifest, number, self._dropped)

    def verdicts(self, number: int) -> tuple[pd.DataFrame, pd.DataFrame]:
        """(what is left of a part, what was dropped from it: `pair_id, rule, detail`), both in the manifest's order."""
        part = read_part(self._manifest, number)
        found = pd.concat([pd.DataFrame(load(folder / _file(number))) for folder in self._dropped]).sort_values("row")
        dropped = found.assign(pair_id=part.pair_id[found.row].to_numpy())[["pair_id", "rule", "detail"]]
        return part.drop(found.row).reset_index(drop=True), dropped.reset_index(drop=True)

    def map(self, step: str, work: Work, arguments: Iterable[Any] | None = None) -> Iterator[np.ndarray]:
        """`work(pairs left)` of every part in order, on all cores; `work(pairs left, argument)` where arguments are given."""
        yield from self._map(step, work, arguments, self._processes if self._number >= POOL_FROM_PARTS else Processes(1))

    def map_here(self, step: str, work: Work) -> Iterator[np.ndarray]:
        """As `map` in this process: for work that needs a model."""
        yield from self._map(step, work, None, Processes(1))

    def array(self, name: str, length: int, dtype: np.dtype) -> np.ndarray:
        """Zeros that live in a file rather than in memory; a second attempt finds them anew."""
        self._folder.mkdir(parents=True, exist_ok=True)
        array = np.lib.format.open_memmap(self._folder / f"{name}.npy", "w+", dtype, (max(1, length),))
        return array[:length]

    def drop(self, step: str, work: Work) -> None:
        """Take out the rows that `work(pairs left)` names in `VERDICT`s."""
        for _ in self.map(step, work):
            pass
        self._dropped.append(self._folder / step)

    def drop_by(self, rule: str, details: Iterable[Iterable[str]]) -> None:
        """Take out the pairs with a detail; `details` has one for every pair left of each part, '' to keep it."""
        folder = self._folder / rule
        for number, of_part in enumerate(details):
            rows = self.read(number).index.to_numpy()
            save(folder / _file(number), verdicts_of(rows, rule, np.array(list(of_part), dtype=object)))
        self._dropped.append(folder)

    def _map(self, step: str, work: Work, arguments: Iterable[Any] | None, processes: Processes) -> Iterator[np.ndarray]:
        folder = self._folder / step
        folder.mkdir(parents=True, exist_ok=True)
        given = [()] * self._number if arguments is None else zip(arguments)
        tasks = (
            _Task(self._manifest, number, tuple(self._dropped), work, argument, folder / _file(number))
            for number, argument in enumerate(given)
        )
        if all((folder / _file(number)).exists() for number in range(self._number)):
            processes = Processes(1)  # nothing is left to do
        done = processes.map(_work_on, tasks)
        for file in track(done, what=step.replace("_", " "), unit="parts", total=self._number):
            yield load(file)


@dataclass(frozen=True)
class _Task:
    manifest: Path
    number: int
    dropped: tuple[Path, ...]
    work: Work
    arguments: tuple[Any, ...]
    file: Path


def _work_on(task: _Task) -> Path:
    if not task.file.exists():
        save(task.file, task.work(_left(task.manifest, task.number, task.dropped), *task.arguments))
    return task.file


def _left(manifest: Path, number: int, dropped: Iterable[Path]) -> pd.DataFrame:
    part = read_part(manifest, number)
    rows = [load(folder / _file(number))["row"] for folder in dropped]
    return part.drop(np.concatenate(rows)) if rows else part


def verdicts_of(rows: np.ndarray, rule: str, details: np.ndarray) -> np.ndarray:
    """The rows with a detail, as a structured array of `row, rule, detail`."""
    objected = details != ""
    texts = details[objected].astype(str)
    fields = [("row", np.int32), ("rule", f"U{len(rule)}"), ("detail", texts.dtype if len(texts) else "U1")]
    found = np.zeros(len(texts), dtype=fields)
    found["row"], found["rule"], found["detail"] = rows[objected], rule, texts
    return found


def save(file: Path, array: np.ndarray) -> None:
    """A file that is whole or not there."""
    partial = file.with_name(f".{file.name}")
    file.parent.mkdir(parents=True, exist_ok=True)
    with open(partial, "wb") as stream:
        np.save(stream, array, allow_pickle=False)
    os.replace(partial, file)


def load(file: Path) -> np.ndarray:
    return np.load(file, allow_pickle=False)


def _file(number: int) -> str:
    return f"{number:06d}.npy"
