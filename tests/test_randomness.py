import itertools
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from dalle.randomness import batch_indices, derive_seed, epoch_order, numpy_generator, torch_generator


def test_seeds_are_the_same_on_every_machine_and_in_every_version():
    """Frozen: a change of these numbers changes every result."""
    assert derive_seed(0) == 4246866556266386882
    assert derive_seed(0, "dvae") == 1739808866132495972
    assert derive_seed(7, "gumbel", 123) == 3084109916528424677
    assert derive_seed("caption", "ä", 2**70) == 284091147409416753


def test_generators_are_the_same_on_every_machine():
    assert numpy_generator(0, "items").integers(0, 1000, 5).tolist() == [608, 919, 2, 7, 833]
    assert torch.randint(1000, (5,), generator=torch_generator(0, "items")).tolist() == [135, 593, 83, 199, 311]


@given(st.lists(st.integers() | st.text(), max_size=4))
def test_seeds_fit_in_63_bits(parts):
    assert 0 <= derive_seed(*parts) < 2**63


def test_seeds_of_different_things_differ():
    parts = [*itertools.product(range(40), ["gumbel", "validation"], range(40)), *((seed,) for seed in range(40))]
    parts += [(1, 23), (12, 3), ("1", "", "23"), (123,), (3, 12)]
    assert len({derive_seed(*some) for some in parts}) == len(parts)


def test_what_was_drawn_before_does_not_matter():
    alone = numpy_generator(3, "image", 5).random(4), torch.rand(4, generator=torch_generator(3, "image", 5))
    np.random.seed(1)
    torch.manual_seed(1)
    for image in reversed(range(10)):
        drawn = numpy_generator(3, "image", image).random(4), torch.rand(4, generator=torch_generator(3, "image", image))
        if image == 5:
            assert np.array_equal(drawn[0], alone[0]) and torch.equal(drawn[1], alone[1])
    assert torch.equal(torch.rand(3), torch.rand(3, generator=torch.Generator().manual_seed(1)))  # nor is it disturbed


@settings(max_examples=60, deadline=None)
@given(num_items=st.integers(1, 30), batch_size=st.integers(1, 70), num_epochs=st.integers(1, 4), seed=st.integers(0, 5))
def test_every_epoch_has_every_item_exactly_once_across_the_borders_of_batches(num_items, batch_size, num_epochs, seed):
    num_steps = -(-num_items * num_epochs // batch_size)
    batches = [batch_indices(step, batch_size=batch_size, num_items=num_items, seed=seed) for step in range(num_steps)]
    assert all(batch.shape == (batch_size,) and batch.dtype == np.int64 for batch in batches)
    drawn = np.concatenate(batches)
    for epoch in range(num_epochs):
        assert sorted(drawn[epoch * num_items : (epoch + 1) * num_items].tolist()) == list(range(num_items))


def test_epochs_and_seeds_have_orders_of_their_own():
    orders = [tuple(epoch_order(20, epoch, seed).tolist()) for epoch in range(5) for seed in range(5)]
    assert len(set(orders)) == 25


def test_a_batch_is_a_function_of_its_number():
    def batch(step):
        return batch_indices(step, batch_size=7, num_items=10, seed=4).tolist()

    in_order = [batch(step) for step in range(60)]  # 42 epochs: more than are remembered
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(batch, reversed(range(60)))) == in_order[::-1]


def test_nothing_to_draw_from_is_refused():
    with pytest.raises(ValueError, match="nothing to draw batches from"):
        batch_indices(0, batch_size=2, num_items=0, seed=0)
