"""The tracking of a running stage: a local file of events, which another process sends to MLflow.

A training so never waits for a tracking server, never dies of one, and never imports MLflow (over a second a stage). What
could not be sent stays in `.tracking/` until an uploader gets it through.
"""

import json
import os
import shutil
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import IO, Any

import numpy as np
from PIL import Image

from harness.locks import keep_until_closed
from harness.run_config import RunConfig
from harness.tracker import RunFacts, Status, Tracker

FOLDER = ".tracking"
PROBLEM = "problem.txt"  # why the uploader cannot get through; absent when it can


class Journal(Tracker):
    """One attempt of a run: one JSON line an event, pictures beside it, locked as long as the process lives."""

    def __init__(self, path: Path, facts: RunFacts, uri: str | None) -> None:
        self.run: str = facts.run
        self.path, self._num_images, self._full, self._warned = path, 0, False, False
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)  # a server's address may hold a password
        unlocked = path.with_suffix(".new")  # an unlocked journal would be taken for a dead process's
        self._file: IO[str] = keep_until_closed(open(unlocked, "w", encoding="utf-8"))
        os.replace(unlocked, path)
        self._write({"event": "start", "uri": uri, "facts": asdict(facts)})

    def metrics(self, step: int, metrics: Mapping[str, float]) -> None:
        self._write({"event": "metrics", "step": step, "metrics": {key: float(value) for key, value in metrics.items()}})

    def image(self, name: str, step: int, image: np.ndarray) -> None:
        file = pictures(self.path) / f"{self._num_images}.png"
        try:
            file.parent.mkdir(exist_ok=True)
            Image.fromarray(image).save(file)
        except OSError as error:
            self._warn_once(error)
            return
        self._num_images += 1
        self._write({"event": "image", "name": name, "step": step, "file": file.name})

    def text(self, name: str, content: str) -> None:
        self._write({"event": "text", "name": name, "content": content})

    def flush(self) -> None:
        """Let the events so far survive a power cut; a killed process loses none anyway."""
        try:
            os.fsync(self._file.fileno())
        except OSError as error:
            self._warn_once(error)

    def end(self, status: Status) -> None:
        self._write({"event": "end", "status": status})
        _warn_of_problem(self.path.parent)
        try:
            self._file.close()
        except OSError as error:
            self._warn_once(error)

    def _write(self, event: Mapping[str, Any]) -> None:
        """Append an event; those that find the disk full are lost, but the file stays locked: the process lives."""
        line = json.dumps({"at": int(time.time() * 1000), **event}, default=str) + "\n"
        try:
            self._file.write("\n" + line if self._full else line)  # half an event may stand there
            self._file.flush()
            self._full = False
        except OSError as error:
            self._full = True
            self._warn_once(error)

    def _warn_once(self, error: OSError) -> None:
        """A full disk must not end a training through its tracking."""
        if not self._warned:
            print(f"WARNING: {self.path}: {error.strerror}: what MLflow misses is in reports/curves", file=sys.stderr)
        self._warned = True


def open_journal(config: RunConfig, root: Path, facts: RunFacts) -> Tracker:
    """The journal of a starting stage in `root`, or a tracker that keeps nothing where tracking is switched off."""
    if not config.tracking or os.environ.get("MLFLOW_OFF", "0") not in ("", "0"):
        print("WARNING: tracking is off: curves go to reports/curves only", file=sys.stderr)
        return Tracker()
    folder = root / FOLDER
    _warn_of_problem(folder)
    name = f"{time.time_ns()}-{facts.stage.replace('@', '-')}-{facts.run[:8]}.jsonl"
    try:
        return Journal(folder / name, facts, os.environ.get("MLFLOW_TRACKING_URI") or None)
    except OSError as error:
        print(f"WARNING: {folder / name}: {error.strerror}: curves go to reports/curves only", file=sys.stderr)
        return Tracker()


def tracking_uri(root: Path) -> str:
    """$MLFLOW_TRACKING_URI, or a database in the workspace: a queued experiment's working directory is deleted."""
    return os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{root / 'mlflow.db'}"


def journals(root: Path) -> list[Path]:
    """The journals that are not sent and done with, oldest first by the clock of when they were begun."""
    return sorted((root / FOLDER).glob("*.jsonl"))


def pictures(journal: Path) -> Path:
    """The folder of a journal's pictures."""
    return journal.with_suffix("")


def read_events(journal: Path, offset: int) -> Iterator[tuple[dict[str, Any], int]]:
    """The complete events from byte `offset` on, each with the offset behind it.

    A killed writer leaves half a line at the end, a power cut lines of zeros: neither is an event.
    """
    with open(journal, "rb") as file:
        file.seek(offset)
        for line in file:
            if not line.endswith(b"\n"):
                return
            offset += len(line)
            try:
                event = json.loads(line)
            except ValueError:
                continue
            yield event, offset


def remove_journal(journal: Path) -> None:
    shutil.rmtree(pictures(journal), ignore_errors=True)
    journal.unlink(missing_ok=True)


def _warn_of_problem(folder: Path) -> None:
    """Say so where runs pile up here because they cannot be sent."""
    try:
        problem = (folder / PROBLEM).read_text(encoding="utf-8").strip()
    except OSError:
        return
    print(f"WARNING: runs cannot be sent to MLflow ({problem}): they wait in {folder} for 'dalle upload'", file=sys.stderr)
