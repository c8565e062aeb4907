"""Many arrays of image tokens, a shard each, indexed as if they were one."""

from collections.abc import Sequence

import numpy as np


class ShardedTokens:
    """uint16 (P, V, G*G), of which `tokens[rows]` and `tokens[rows, views]` are read as numpy would read them.

    `rows` is a slice or integers (n,), `views` an integer or integers (n,). The shards are (P_i, V, G*G), memory-mapped or
    not; what is indexed is a copy. Reading is safe from many threads, and a pickle holds the names of mapped files instead of
    what is in them.
    """

    def __init__(self, shards: Sequence[np.ndarray]) -> None:
        self._shards = list(shards)
        self._ends = np.cumsum([len(shard) for shard in self._shards])
        self.shape = (int(self._ends[-1]), *self._shards[0].shape[1:])
        self.dtype = self._shards[0].dtype

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, index: slice | np.ndarray | tuple[slice | np.ndarray, int | np.ndarray]) -> np.ndarray:
        rows, views = index if isinstance(index, tuple) else (index, None)
        rows = self._numbers(rows)
        tokens = np.empty((len(rows), *self.shape[1 if views is None else 2 :]), self.dtype)
        views = None if views is None else np.broadcast_to(views, rows.shape)
        shard_of = np.searchsorted(self._ends, rows, side="right")
        for number in np.unique(shard_of):
            slots = np.flatnonzero(shard_of == number)
            shard, within = self._shards[number], rows[slots] - (self._ends[number] - len(self._shards[number]))
            tokens[slots] = shard[within] if views is None else shard[within, views[slots]]
        return tokens

    def __array__(self, dtype: np.dtype | None = None, copy: bool | None = None) -> np.ndarray:
        """All of them in memory: for the small stores of tests and notebooks."""
        return np.asarray(self[:], dtype=dtype)

    def __reduce__(self) -> tuple[object, ...]:
        return _reopened, ([shard.filename if isinstance(shard, np.memmap) else shard for shard in self._shards],)

    def _numbers(self, rows: slice | np.ndarray) -> np.ndarray:
        if isinstance(rows, slice):
            return np.arange(*rows.indices(len(self)))
        rows = np.asarray(rows)
        if rows.ndim != 1 or not np.issubdtype(rows.dtype, np.integer):
            raise IndexError(f"rows must be a slice or integers (n,), got {rows.dtype} {rows.shape}")
        outside = (rows < -len(self)) | (rows >= len(self))
        if outside.any():
            raise IndexError(f"row {rows[outside][0]} is outside the {len(self)} rows")
        return np.where(rows < 0, rows + len(self), rows)


def _reopened(shards: Sequence[str | np.ndarray]) -> ShardedTokens:
    return ShardedTokens([shard if isinstance(shard, np.ndarray) else np.load(shard, mmap_mode="r") for shard in shards])
