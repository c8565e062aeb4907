"""bf16 or float32, for training and for whatever runs a trained model."""

from functools import lru_cache
from pathlib import Path
from typing import Literal

import torch

Precision = Literal["auto", "bf16", "fp32"]


def autocast(device: str, precision: str, *, cache: bool = True) -> torch.autocast:
    """bf16 where asked for, or for `auto` where it is the faster one; parameters and optimiser state stay float32.

    The cache of cast weights belongs to the process: threads that each build a graph must do without.
    """
    kind = torch.device(device).type
    enabled = precision == "bf16" or (precision == "auto" and bf16_is_fast(kind))
    return torch.autocast(kind, dtype=torch.bfloat16, enabled=enabled, cache_enabled=cache)


@lru_cache
def bf16_is_fast(kind: str) -> bool:
    """Whether products in bf16 are faster than in float32 on this kind of device: a function of the machine, not of its load.

    On a CPU they are where it has AMX, or is an AMD with AVX512-BF16 (4.5 times as fast). An Intel core without AMX has the
    same instruction at half the speed of float32, and a core without either emulates it, 5 to 90 times slower.
    """
    if kind != "cpu":
        return kind == "cuda"
    if torch.cpu._is_amx_tile_supported():
        return True
    return torch.cpu._is_avx512_bf16_supported() and "AuthenticAMD" in _cpu_description()


def _cpu_description(path: Path = Path("/proc/cpuinfo")) -> str:
    try:
        return path.read_text(errors="replace")
    except OSError:
        return ""
