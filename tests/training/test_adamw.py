"""The optimiser against torch's own, bit by bit, and its state through a file."""

import io
import subprocess
import sys

import pytest
import torch

from dalle.training.adamw import AdamW

STEPS = 7
TRAINING = """
import sys
import torch
from dalle.training.adamw import AdamW
weight = torch.nn.Parameter(torch.ones(3, 3))
optimizer = AdamW([{"params": [weight], "weight_decay": 0.1}], learning_rate=0.1, betas=(0.9, 0.99), eps=1e-8)
weight.grad = torch.ones(3, 3)
optimizer.step()
sys.exit(bool({"torch._dynamo", "torch._inductor"} & sys.modules.keys()) or bool((weight == 1).any()))
"""


def parameters() -> list[torch.nn.Parameter]:
    generator = torch.Generator().manual_seed(0)
    kernel = torch.randn(4, 3, 5, 5, generator=generator).contiguous(memory_format=torch.channels_last)
    return [torch.nn.Parameter(value) for value in (kernel, torch.randn(7, 6, generator=generator), torch.zeros(9))]


def set_gradients(values: list[torch.nn.Parameter], step: int) -> None:
    generator = torch.Generator().manual_seed(step + 1)
    for value in values:
        value.grad = torch.empty_like(value).copy_(torch.randn(value.shape, generator=generator))


def ours(values: list[torch.nn.Parameter]) -> AdamW:
    groups = [{"params": values[:2], "weight_decay": 0.05}, {"params": values[2:], "weight_decay": 0.0}]
    return AdamW(groups, learning_rate=1e-3, betas=(0.9, 0.96), eps=1e-8)


def test_every_bit_is_that_of_torch():
    values, expected = parameters(), parameters()
    groups = [{"params": expected[:2], "weight_decay": 0.05}, {"params": expected[2:], "weight_decay": 0.0}]
    theirs, optimizer = torch.optim.AdamW(groups, lr=1e-3, betas=(0.9, 0.96), eps=1e-8, fused=True), ours(values)
    for step in range(STEPS):
        for network, chosen in ((values, optimizer), (expected, theirs)):
            for group in chosen.param_groups:
                group["lr"] = 1e-3 * (step + 1)
            set_gradients(network, step)
            chosen.step()
    for value, other in zip(values, expected, strict=True):
        assert torch.equal(value, other)


def test_without_decay_it_is_adam():
    values, expected = parameters(), parameters()
    theirs = torch.optim.Adam(expected, lr=1e-3, betas=(0.0, 0.9), eps=1e-8, fused=True)
    optimizer = AdamW([{"params": values, "weight_decay": 0.0}], learning_rate=1e-3, betas=(0.0, 0.9), eps=1e-8)
    for step in range(STEPS):
        for network, chosen in ((values, optimizer), (expected, theirs)):
            set_gradients(network, step)
            chosen.step()
    for value, other in zip(values, expected, strict=True):
        assert torch.equal(value, other)


@pytest.mark.parametrize("saved_after", [0, 3])
def test_a_saved_state_goes_on_with_the_same_bits(saved_after):
    whole, part = parameters(), parameters()
    through, before = ours(whole), ours(part)
    for step in range(saved_after):
        set_gradients(part, step)
        before.step()
    file = io.BytesIO()
    torch.save(before.state_dict(), file)
    file.seek(0)
    after = ours(part)
    after.load_state_dict(torch.load(file, weights_only=True))
    for step in range(STEPS):
        set_gradients(whole, step)
        through.step()
        if step >= saved_after:
            set_gradients(part, step)
            after.step()
    for value, other in zip(whole, part, strict=True):
        assert torch.equal(value, other)


def test_a_step_does_not_import_the_compiler():
    assert subprocess.run([sys.executable, "-c", TRAINING], timeout=120).returncode == 0
