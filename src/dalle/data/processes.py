"""Independent items on all cores, in order: the results are those of a plain loop."""

import multiprocessing
import os
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


def map_in_processes(work: Callable[[Item], Result], items: Iterable[Item], *, processes: int) -> Iterator[Result]:
    """Yield `work(item)` for every item in order; with one process in this one, else `work` and items must be picklable.

    Only a few items are begun ahead of what is taken, so results do not pile up; what was not begun is dropped on an error.
    """
    if processes <= 1:
        yield from map(work, items)
        return
    # spawned, not forked: the caller may already run threads
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(processes, context, initializer=_end_with, initargs=(os.getpid(),))
    begun: deque[Future[Result]] = deque()
    try:
        for item in items:
            begun.append(pool.submit(work, item))
            if len(begun) > 2 * processes:
                yield begun.popleft().result()
        while begun:
            yield begun.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)


def _end_with(parent: int) -> None:
    """In a worker: watch for the death of the parent; the pool's own pipes stay open and would be waited on for ever."""

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(0.5)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
