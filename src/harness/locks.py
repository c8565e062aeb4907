"""File locks that die with their process, so a killed stage never leaves one behind."""

import fcntl
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

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
    path.parent.mkdir(parents=True, exist_ok=True)
    file = _open_locked(path, what, wait)
    _held.add(file)
    try:
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        yield
    finally:
        _held.discard(file)
        file.close()


def keep_until_closed(file: IO[str]) -> IO[str]:
    """Lock an open file for as long as this process has it open: whoever wonders whether the process lives can ask for it."""
    fcntl.flock(file, fcntl.LOCK_EX)
    _held.add(file)
    return file


def is_held(path: Path) -> bool:
    """Whether a living process holds the lock file."""
    if not path.exists():
        return False
    with open(path, "a") as file:
        return not try_lock(file)


def _open_locked(path: Path, what: str, wait: bool) -> IO[str]:
    while True:
        path.parent.mkdir(parents=True, exist_ok=True)
        file = open(path, "a+")  # stays open as long as the lock is held
        if not try_lock(file):
            file.seek(0)
            owner = file.read().strip() or "unknown"
            if not wait:
                file.close()
                raise ValueError(f"{what} is already running (process {owner}): wait for it or stop it with 'kill {owner}'")
            print(f"waiting for {what}, which process {owner} is running", file=sys.stderr)
            fcntl.flock(file, fcntl.LOCK_EX)
        # the last owner may have removed the file while we waited: then this lock guards nothing
        if path.exists() and os.fstat(file.fileno()).st_ino == path.stat().st_ino:
            return file
        file.close()


def try_lock(file: IO[str]) -> bool:
    """Lock an open file if nobody else has; it stays locked until every copy of it is closed."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
