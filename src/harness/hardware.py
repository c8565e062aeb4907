"""Cores, device and determinism: set once a process, before any work."""

import ctypes
import math
import os
import platform
from pathlib import Path

import torch

from harness.run_config import RunConfig

# of malloc.h: M_MMAP_THRESHOLD at 1 GiB, M_TRIM_THRESHOLD never, and M_ARENA_MAX, since threads' own arenas shrink at once
GLIBC_OPTIONS = ((-3, 1 << 30), (-1, -1), (-8, 1))


def configure_torch(config: RunConfig) -> str:
    """Apply `run.threads` and `run.device`; the device to use."""
    return use_device(config.device, threads=config.threads, setting="run.device")


def use_device(device: str, *, threads: int, setting: str) -> str:
    """Set the number of threads, 0 for all cores, and deterministic kernels where there are any; the device to use.

    `setting` is what an error calls the place where `device` was written.
    """
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.set_num_threads(threads or available_cores())
    torch.set_flush_denormal(True)  # soft codes at a low tau are full of denormals, which are slow to compute with
    torch.use_deterministic_algorithms(True, warn_only=True)
    torch.utils.deterministic.fill_uninitialized_memory = False  # it costs time and hides nothing of ours
    device = resolve_device(device, setting)
    if device == "cpu":
        keep_freed_memory()
    return device


def keep_freed_memory() -> bool:
    """Let this process keep the memory it frees for its next tensors, instead of giving it back; whether it will.

    By default glibc maps every large tensor anew and returns it when it is freed, and the system clears each of its pages when
    it is touched: a seventh of the time of taking features. No bit of a result changes. Without glibc nothing is done.
    """
    if platform.libc_ver()[0] != "glibc":
        return False
    mallopt = ctypes.CDLL(None).mallopt
    return all([mallopt(option, value) for option, value in GLIBC_OPTIONS])


def resolve_device(device: str, setting: str = "run.device") -> str:
    if device == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    if device == "cuda" and not torch.cuda.is_available():
        raise ValueError(f"{setting} is cuda, but torch sees no GPU here: set it to auto or cpu")
    return device


def available_cores(quota_file: Path = Path("/sys/fs/cgroup/cpu.max")) -> int:
    """Cores this process may use: its affinity, or less where a container's quota (`quota period` in microseconds) says so."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    try:
        quota, period = quota_file.read_text().split()
        return max(1, min(cores, math.ceil(int(quota) / int(period))))
    except (OSError, ValueError):  # no cgroup, or "max": no quota
        return cores


def device_memory(device: str, limit_file: Path = Path("/sys/fs/cgroup/memory.max")) -> int:
    """Bytes of the GPU's own memory, or of this machine's, or less where a container's limit says so."""
    if device == "cuda":
        return torch.cuda.get_device_properties(0).total_memory
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    try:
        return min(memory, int(limit_file.read_text()))
    except (OSError, ValueError):  # no cgroup, or "max": no limit
        return memory
