"""Independent items on all processors, in order: the result is that of a plain loop."""

import multiprocessing
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from typing import TypeVar

from dalle.processes import end_with

Item = TypeVar("Item")
Result = TypeVar("Result")

CHUNK = 32


def map_in_order(function: Callable[[Item], Result], items: Sequence[Item]) -> Iterator[Result]:
    """Yield `function(item)` for every item; `function` must be picklable and depend on nothing but its item."""
    num_workers = min(len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1, 16)
    if num_workers == 1 or len(items) < 8 * CHUNK:
        yield from map(function, items)
        return
    # forked workers start at once; they only paint and encode, so threads of the parent do not matter to them
    method = "fork" if "fork" in multiprocessing.get_all_start_methods() else "spawn"
    context = multiprocessing.get_context(method)
    with ProcessPoolExecutor(num_workers, mp_context=context, initializer=end_with, initargs=(os.getpid(),)) as pool:
        yield from _windowed(pool, function, items, num_workers)


def _windowed(pool: ProcessPoolExecutor, function: Callable, items: Sequence, num_workers: int) -> Iterable:
    """Like `pool.map`, but with only a few chunks in flight, so that results do not pile up in memory."""
    chunks = [items[start : start + CHUNK] for start in range(0, len(items), CHUNK)]
    pending = []
    for chunk in chunks:
        pending.append(pool.submit(_apply, function, chunk))
        if len(pending) > 4 * num_workers:
            yield from pending.pop(0).result()
    for future in pending:
        yield from future.result()


def _apply(function: Callable[[Item], Result], chunk: Sequence[Item]) -> list[Result]:
    return [function(item) for item in chunk]
