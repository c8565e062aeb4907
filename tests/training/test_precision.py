import pytest
import torch

from dalle.training import precision
from dalle.training.precision import autocast, bf16_is_fast


@pytest.mark.parametrize(
    ("amx", "instruction", "description", "fast"),
    [
        (True, True, "GenuineIntel", True),
        (False, True, "GenuineIntel", False),
        (False, True, "vendor_id : AuthenticAMD", True),
        (False, False, "vendor_id : AuthenticAMD", False),
        (False, False, "", False),
    ],
)
def test_auto_takes_bf16_where_the_processor_is_faster_with_it(monkeypatch, amx, instruction, description, fast):
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: amx)
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: instruction)
    monkeypatch.setattr(precision, "_cpu_description", lambda: description)
    bf16_is_fast.cache_clear()
    try:
        assert bf16_is_fast("cpu") is fast
        with autocast("cpu", "auto"):
            product = torch.ones(2, 2) @ torch.ones(2, 2)
        assert product.dtype == (torch.bfloat16 if fast else torch.float32)
    finally:
        bf16_is_fast.cache_clear()


@pytest.mark.parametrize(("asked", "dtype"), [("bf16", torch.bfloat16), ("fp32", torch.float32)])
def test_a_precision_that_is_named_is_taken(asked, dtype):
    with autocast("cpu", asked):
        assert (torch.ones(2, 2) @ torch.ones(2, 2)).dtype == dtype


def test_a_gpu_takes_bf16():
    assert bf16_is_fast("cuda")
