import numpy as np
import pytest

from dalle.evaluation.features import load_extractor


@pytest.fixture(scope="session")
def lite0():
    return load_extractor("lite0", "cpu")


@pytest.fixture
def rng():
    return np.random.default_rng(0)
