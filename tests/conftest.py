"""What every test is kept from leaving behind, and the options of the test command."""

import pytest
import torch


def pytest_addoption(parser):
    parser.addoption("--update-golden", action="store_true", help="write the curves of tests/golden anew from this run")


@pytest.fixture(autouse=True)
def exact_small_numbers():
    """Stages run in this process flush denormals; tests after them want IEEE arithmetic back."""
    yield
    torch.set_flush_denormal(False)
