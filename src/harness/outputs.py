"""Files a stage leaves behind: whole or not at all, and the same bytes each time."""

import json
import math
import numbers
import os
import re
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from harness.curves import TIMED_GROUPS

METRIC_KEY = re.compile(r"[\w.\- ]+(/[\w.\- ]+)+", re.ASCII)  # group/name, in the characters MLflow accepts


@contextmanager
def written_whole(path: Path) -> Iterator[Path]:
    """Yield a path beside `path`, with its suffix, for a file or a folder that takes its place when the block succeeds.

    Nothing exists at the yielded path yet; what was at `path` stays until it is replaced.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".partial-{path.name}")
    _remove(partial)  # a killed attempt's
    try:
        yield partial
        assert partial.exists(), f"nothing was written for {path}"
        if partial.is_dir() or path.is_dir():
            _remove(path)
        os.replace(partial, path)
    finally:
        _remove(partial)


def metrics_text(metrics: Mapping[str, Any]) -> str:
    """JSON with sorted `group/name` keys and six significant digits; a `ValueError` names what is not a finite number."""
    return json.dumps({key: _checked(key, metrics[key]) for key in sorted(metrics)}, indent=2) + "\n"


def _checked(key: str, value: Any) -> int | float:
    if not METRIC_KEY.fullmatch(key):
        raise ValueError(f"metric '{key}': expected group/name in letters, digits and . _ -")
    if key.startswith(TIMED_GROUPS):
        raise ValueError(f"metric '{key}': times differ between two identical runs; give them to stage.throughput")
    if isinstance(value, bool) or not hasattr(value, "__float__"):
        raise ValueError(f"metric '{key}': expected a number, got {value!r}")
    if isinstance(value, numbers.Integral):
        return int(value)
    if not math.isfinite(value):
        raise ValueError(f"metric '{key}' is {float(value)}: the stage has no result")
    return float(f"{float(value):.6g}")


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
