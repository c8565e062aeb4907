"""What every test is kept from leaving behind, the order of the tests, and the options of the test command."""

import os

import hypothesis
import pytest
import torch

# the files that run the whole pipeline come first, the longest before the others, and small tests fill what a worker has left
FIRST = ("test_smoke.py", "test_own_folder.py", "test_identity.py", "test_other_dvaes.py")

# with pytest-xdist there is a process for every core
THREADS = 1 if "PYTEST_XDIST_WORKER" in os.environ else torch.get_num_threads()
torch.set_num_threads(THREADS)

# how long an example takes depends on what else the machine does
hypothesis.settings.register_profile("untimed", deadline=None)
hypothesis.settings.load_profile("untimed")


def pytest_addoption(parser):
    parser.addoption("--update-golden", action="store_true", help="write the curves of tests/golden anew from this run")


def pytest_collection_modifyitems(items):
    items.sort(key=lambda item: FIRST.index(item.path.name) if item.path.name in FIRST else len(FIRST))


@pytest.fixture(autouse=True)
def exact_small_numbers():
    """Stages run in this process flush denormals and take every core; tests after them want IEEE arithmetic back."""
    yield
    torch.set_flush_denormal(False)
    torch.set_num_threads(THREADS)
