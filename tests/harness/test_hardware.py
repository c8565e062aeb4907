import os

import pytest
import torch

from harness.hardware import available_cores, resolve_device


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
