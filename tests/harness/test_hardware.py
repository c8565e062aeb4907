import os
import platform
import subprocess
import sys

import pytest
import torch

from harness.hardware import available_cores, keep_freed_memory, resolve_device


@pytest.mark.parametrize(
    ("quota", "cores"), [("max 100000", None), ("100000 100000", 1), ("50000 100000", 1), ("garbage", None)]
)
def test_a_container_quota_counts(tmp_path, quota, cores):
    (tmp_path / "cpu.max").write_text(quota)
    assert available_cores(tmp_path / "cpu.max") == (cores or len(os.sched_getaffinity(0)))


def test_cuda_without_a_gpu_is_a_clear_error(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert resolve_device("auto") == resolve_device("cpu") == "cpu"
    with pytest.raises(ValueError, match="run.device is cuda, but torch sees no GPU"):
        resolve_device("cuda")


FAULTS_OF_REUSE = """
import resource, threading, torch
from harness.hardware import use_device
%s
def fill():
    for _ in range(10):
        [torch.ones(size) for size in (9_000_000, 12_000_000, 10_000_000)]  # of more than 32 MiB: glibc maps each anew
fill()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
thread = threading.Thread(target=fill)
thread.start()
thread.join()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc has these options")
def test_on_the_cpu_freed_memory_is_used_again_without_asking_the_system():
    def faults(setting: str) -> int:
        program = [sys.executable, "-c", FAULTS_OF_REUSE % setting]
        return int(subprocess.run(program, check=True, capture_output=True, text=True).stdout)

    assert faults("use_device('cpu', threads=1, setting='device')") < faults("pass") / 3


def test_elsewhere_than_on_glibc_nothing_is_asked_for(monkeypatch):
    monkeypatch.setattr(platform, "libc_ver", lambda: ("", ""))
    monkeypatch.setattr("ctypes.CDLL", lambda name: pytest.fail("no library may be opened"))
    assert not keep_freed_memory()
