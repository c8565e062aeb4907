"""Progress on long work: a bar with rate and time left on a terminal, a line every few seconds in a log."""

import sys
from collections.abc import Iterable, Iterator
from typing import TypeVar

from tqdm import tqdm

T = TypeVar("T")


def track(items: Iterable[T], *, what: str, unit: str, total: int | None = None, initial: int = 0) -> Iterator[T]:
    """Yield `items` while showing how many `unit`s of `what` are done, the rate, and the time left."""
    terminal = sys.stderr.isatty()
    return iter(
        tqdm(
            items,
            desc=what,
            unit=f" {unit}",
            total=total,
            initial=initial,
            mininterval=0.2 if terminal else 15,
            ascii=not terminal,
            ncols=100,
            file=sys.stderr,
        )
    )
