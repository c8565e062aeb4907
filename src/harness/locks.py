"""File locks that die with their process, so a killed stage never leaves one behind."""

import fcntl
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

PROBE_SECONDS = 0.05  # longer than `is_held` keeps its own lock
_held: set[IO[str]] = set()


def _leave_to_parent() -> None:
    """In a forked child: a lock counts as held while any copy of its file is open, and workers can outlive a killed parent."""
    for file in _held:
        file.close()
    _held.clear()


os.register_at_fork(after_in_child=_leave_to_parent)


@contextmanager
def hold(path: Path, *, what: str, wait: bool) -> Iterator[None]:
    """Hold the lock file `path`; where another process has it, wait for it or raise a `ValueError` that names `what`."""
    file = _open_locked(path)
    if file is None and not wait:
        owner = owner_of(path)
        raise ValueError(f"{what} is already running (process {owner}): wait for it or stop it with 'kill {owner}'")
    if file is None:
        print(f"waiting for {what}, which process {owner_of(path)} is running", file=sys.stderr)
    while file is None:
        time.sleep(PROBE_SECONDS)
        file = _open_locked(path)
    with _kept(file):
        yield


@contextmanager
def hold_if_free(path: Path) -> Iterator[IO[str] | None]:
    """Hold the lock file `path` and give it, or None where another process has it."""
    file = _open_locked(path)
    if file is None:
        yield None
        return
    with _kept(file):
        yield file


def is_still(file: IO[str], path: Path) -> bool:
    """Whether a held lock is the one at `path`: who removes the file lets another process in."""
    try:
        return os.fstat(file.fileno()).st_ino == path.stat().st_ino
    except FileNotFoundError:
        return False


def keep_until_closed(file: IO[str]) -> IO[str]:
    """Lock an open file for as long as this process has it open: whoever wonders whether the process lives can ask for it."""
    fcntl.flock(file, fcntl.LOCK_EX)
    _held.difference_update([other for other in _held if other.closed])
    _held.add(file)
    return file


def is_held(path: Path) -> bool:
    """Whether a living process holds the lock file."""
    try:
        with open(path, "rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)  # shared: those who ask do not see each other
    except FileNotFoundError:
        return False
    except BlockingIOError:
        return True
    return False


def owner_of(path: Path) -> str:
    """The process that holds the lock file, as it wrote itself there."""
    try:
        return path.read_text().strip() or "unknown"
    except OSError:
        return "unknown"


@contextmanager
def _kept(file: IO[str]) -> Iterator[None]:
    _held.add(file)
    try:
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        yield
    finally:
        _held.discard(file)
        file.close()


def _open_locked(path: Path) -> IO[str] | None:
    """The lock file, locked, or None where another process has it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    deadline = time.monotonic() + PROBE_SECONDS
    while True:
        file = open(path, "a+")  # stays open as long as the lock is held
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.close()
            if time.monotonic() > deadline:
                return None
            time.sleep(PROBE_SECONDS / 10)
            continue
        # the last owner may have removed the file meanwhile: then this lock guards nothing
        if is_still(file, path):
            return file
        file.close()
