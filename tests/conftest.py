"""What every test is kept from leaving behind."""

import pytest
import torch


@pytest.fixture(autouse=True)
def exact_small_numbers():
    """Stages run in this process flush denormals; tests after them want IEEE arithmetic back."""
    yield
    torch.set_flush_denormal(False)
