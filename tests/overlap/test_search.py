import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from dalle.overlap.search import UNIT, nearest, quantized


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 2**31), queries=st.integers(1, 7), chunks=st.lists(st.integers(1, 9), min_size=1, max_size=4),
    block_size=st.integers(1, 12), levels=st.integers(1, 4),
)  # fmt: skip
def test_blocks_of_any_size_give_what_one_dense_search_gives(seed, queries, chunks, block_size, levels):
    """Against whole-number arithmetic by hand; few levels make many ties, which the first training image wins."""
    rng = np.random.default_rng(seed)
    asked, mirrored = rng.integers(-levels, levels + 1, (2, queries, 3)).astype(np.int16)
    training = [rng.integers(-levels, levels + 1, (length, 3)).astype(np.int16) for length in chunks]
    found = nearest(asked, mirrored, training, block_size=block_size)
    everything = np.concatenate(training).astype(int)
    for row in range(queries):
        # (product, first image, unmirrored before mirrored): the largest product, then the smallest of the others
        products = enumerate(np.stack([everything @ asked[row], everything @ mirrored[row]], axis=1).tolist())
        product, index, way = min((-pair[way], i, way) for i, pair in products for way in (0, 1))
        assert (found.index[row], found.mirrored[row]) == (index, bool(way))
        assert found.similarity[row] == min(1, -product / UNIT**2)


def test_similarities_are_the_cosines_and_exact_at_full_width():
    """Sums of 256 products of whole numbers, in float32: equal to Python's own integers."""
    torch.manual_seed(0)
    vectors = torch.nn.functional.normalize(torch.randn(600, 256, dtype=torch.float64), dim=1)
    numbers = quantized(vectors)
    assert numbers.dtype == np.int16
    found = nearest(numbers[:50], -numbers[:50], [numbers[50:300], numbers[300:]], block_size=77)
    exact = numbers[:50].astype(object) @ numbers[50:].T.astype(object)
    np.testing.assert_array_equal(found.similarity * UNIT**2, np.maximum(exact.max(1), -exact.min(1)).astype(float))
    cosines = vectors[:50] @ vectors[50:].T
    np.testing.assert_allclose(found.similarity, torch.maximum(cosines.amax(1), -cosines.amin(1)), atol=1e-3)


def test_an_empty_training_set_is_an_error():
    none = np.zeros((1, 4), np.int16)
    with pytest.raises(ValueError, match="no training images"):
        nearest(none, none, [], block_size=4)
