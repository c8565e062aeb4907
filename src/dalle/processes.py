"""Independent items on all cores, in order: the results are those of a plain loop."""

import multiprocessing
import os
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import contextmanager
from types import ModuleType
from typing import Self, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


class Processes:
    """Up to `number` processes, started when they are first needed and ended with the block; one is this process itself."""

    def __init__(self, number: int) -> None:
        self._number, self._pool = number, None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)

    def map(self, work: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[Result]:
        """Yield `work(item)` for every item in order; `work`, of a module that can be imported, and items are pickled.

        Only a few items are begun ahead of what is taken, so results do not pile up.
        """
        if self._number <= 1:
            yield from map(work, items)
            return
        begun: deque[Future[Result]] = deque()
        for item in items:
            begun.append(self._submit(work, item))
            if len(begun) > 2 * self._number:
                yield begun.popleft().result()
        while begun:
            yield begun.popleft().result()

    def _submit(self, work: Callable[[Item], Result], item: Item) -> Future[Result]:
        if self._pool is None:
            # spawned, not forked: the caller may already run threads
            context = multiprocessing.get_context("spawn")
            self._pool = ProcessPoolExecutor(self._number, context, initializer=end_with, initargs=(os.getpid(),))
        with _main_left_out():
            return self._pool.submit(work, item)


@contextmanager
def _main_left_out() -> Iterator[None]:
    """Processes that start meanwhile do not import the program again, with its torch and tracker, a third of a GB each."""
    main = sys.modules["__main__"]
    sys.modules["__main__"] = ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = main


def end_with(parent: int) -> None:
    """In a worker: watch for the death of the parent; the pool's own pipes stay open and would be waited on for ever."""

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(0.5)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
