"""The machine that a stage ran on, as far as the bytes of its outs can depend on it; never part of what is hashed."""

import os
import platform
from pathlib import Path

import torch

ISA_FLAGS = ("avx2", "avx512f", "avx512_vnni", "avx512_bf16", "amx_bf16", "avx_vnni", "bf16", "i8mm", "sve")
ISA_LIMITS = ("ONEDNN_MAX_CPU_ISA", "DNNL_MAX_CPU_ISA", "ATEN_CPU_CAPABILITY")  # variables by which a user takes a smaller ISA
CPU_INFO = Path("/proc/cpuinfo")


def describe_machine(device: str, cpu_info: Path = CPU_INFO) -> dict[str, str]:
    """The CPU's model, the instructions that PyTorch and oneDNN choose their kernels by, limits set on them, threads, GPU.

    `isa` is what PyTorch's own kernels use. oneDNN does not say what it chose: it takes the best of `flags` that the limits
    among these entries allow, so that bf16 convolutions run on other kernels where avx512_bf16 or amx_bf16 differ.
    """
    info = _first_processor(cpu_info)
    flags = (info.get("flags") or info.get("Features") or "").split()
    found = {
        "cpu": info.get("model name") or platform.processor() or platform.machine(),
        "isa": torch.backends.cpu.get_cpu_capability(),
        "flags": " ".join(flag for flag in ISA_FLAGS if flag in flags),
        **{name: os.environ.get(name, "") for name in ISA_LIMITS},
        "threads": str(torch.get_num_threads()),
        "torch": str(torch.__version__),
        "gpu": torch.cuda.get_device_name() if device == "cuda" else "",
    }
    return {name: value for name, value in found.items() if value}


def _first_processor(cpu_info: Path) -> dict[str, str]:
    """The first entry of Linux's list of processors; empty on other systems."""
    try:
        text = cpu_info.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return {}
    lines = (line.partition(":") for line in text.split("\n\n")[0].splitlines())
    return {name.strip(): value.strip() for name, _, value in lines}
