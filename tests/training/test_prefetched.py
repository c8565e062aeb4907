import random
import threading
import time

import pytest

from dalle.training.loop import prefetched


@pytest.fixture(autouse=True)
def no_thread_is_left():
    before = set(threading.enumerate())
    yield
    assert set(threading.enumerate()) <= before


@pytest.mark.parametrize("num_workers", [0, 1, 4])
def test_batches_come_in_order_however_long_each_takes(num_workers):
    def batch_at(step):
        time.sleep(random.Random(step).random() / 200)
        return step

    assert list(prefetched(batch_at, 3, 40, num_workers)) == list(range(3, 40))
    assert list(prefetched(batch_at, 5, 5, num_workers)) == []


def test_workers_work_at_the_same_time():
    together = threading.Barrier(3, timeout=10)
    assert list(prefetched(lambda step: together.wait() >= 0, 0, 9, 3)) == [True] * 9


@pytest.mark.parametrize("num_workers", [0, 1, 3])
def test_no_more_than_two_batches_a_worker_are_made_ahead(num_workers):
    asked = []
    batches = prefetched(lambda step: asked.append(step) or step, 0, 1000, num_workers)
    for step in range(5):
        assert next(batches) == step
    batches.close()
    assert max(asked) <= 4 + max(0, 2 * num_workers - 1)


def test_batches_nobody_waits_for_are_not_begun():
    asked, gate = [], threading.Event()

    def batch_at(step):
        asked.append(step)
        assert step == 0 or gate.wait(timeout=10)
        return step

    batches = prefetched(batch_at, 0, 1000, 2)
    assert next(batches) == 0
    threading.Timer(0.3, gate.set).start()  # batches 1 and 2 hold both workers, 3 is in the queue
    batches.close()
    assert set(asked) <= {0, 1, 2}


@pytest.mark.parametrize("num_workers", [0, 1, 3])
def test_an_error_comes_in_its_turn_and_stops_the_work(num_workers):
    asked = []

    def batch_at(step):
        asked.append(step)
        if step == 5:
            raise OSError("image 5 is gone")
        return step

    received = []
    with pytest.raises(OSError, match="image 5 is gone"):
        for batch in prefetched(batch_at, 0, 1000, num_workers):
            received.append(batch)
    assert received == [0, 1, 2, 3, 4]
    assert len(asked) <= 6 + 2 * num_workers
