"""File locks that die with their process, so a killed stage never leaves one behind."""

import fcntl
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO


@contextmanager
def hold(path: Path, *, what: str, wait: bool) -> Iterator[None]:
    """Hold the lock file `path`; where another process has it, wait for it or raise a `ValueError` that names `what`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    file = _open_locked(path, what, wait)
    try:
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        yield
    finally:
        file.close()


def is_held(path: Path) -> bool:
    """Whether a living process holds the lock file."""
    if not path.exists():
        return False
    with open(path, "a") as file:
        return not _try_lock(file)


def _open_locked(path: Path, what: str, wait: bool) -> IO[str]:
    while True:
        path.parent.mkdir(parents=True, exist_ok=True)
        file = open(path, "a+")  # stays open as long as the lock is held
        if not _try_lock(file):
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


def _try_lock(file: IO[str]) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
