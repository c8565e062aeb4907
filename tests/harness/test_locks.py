import multiprocessing
import time

import pytest

from harness.locks import hold, is_held


def keep_then_remove(path, started):
    with hold(path, what="the stage", wait=False):
        started.set()
        time.sleep(0.5)
        path.unlink()


def test_refused_while_held_and_free_afterwards(tmp_path):
    lock = tmp_path / "folder/lock"
    assert not is_held(lock)
    with hold(lock, what="train", wait=False):
        assert is_held(lock)
        with pytest.raises(ValueError, match="train is already running"), hold(lock, what="train", wait=False):
            pass
    assert not is_held(lock)
    with hold(lock, what="train", wait=False):
        pass


def test_waiting_for_an_owner_that_removes_the_file_still_ends_with_a_lock_that_guards(tmp_path):
    lock, context = tmp_path / "lock", multiprocessing.get_context("fork")
    started = context.Event()
    process = context.Process(target=keep_then_remove, args=(lock, started))
    process.start()
    started.wait()
    with hold(lock, what="train", wait=True):
        assert is_held(lock)
    process.join()
