import os
import pickle

import pytest
import torch

from dalle.training.checkpoint import Checkpoint


@pytest.fixture
def checkpoint(tmp_path):
    return Checkpoint(tmp_path / "stage" / "state.pt")


class PowerCut(Exception):
    pass


def test_what_was_saved_comes_back(checkpoint):
    assert checkpoint.load() is None
    state = {"weights": torch.randn(3, 2), "step": 7, "sums": {"train/loss": 0.5}, "nested": [{"betas": (0.9, 0.99)}, None]}
    checkpoint.save(state)
    loaded = checkpoint.load()
    assert torch.equal(loaded.pop("weights"), state.pop("weights")) and loaded == state
    checkpoint.save({"step": 8})
    assert checkpoint.load() == {"step": 8}
    assert [path.name for path in checkpoint.path.parent.iterdir()] == ["state.pt"]


def write_half(state, file):
    file.write(b"PK half of a checkpoint")
    raise PowerCut


def refuse(*paths):
    raise PowerCut


@pytest.mark.parametrize("place, name, crash", [(torch, "save", write_half), (os, "fsync", refuse), (os, "replace", refuse)])
def test_a_crash_while_saving_leaves_the_old_state(checkpoint, monkeypatch, place, name, crash):
    checkpoint.save({"step": 7})
    with monkeypatch.context() as patch, pytest.raises(PowerCut):
        patch.setattr(place, name, crash)
        checkpoint.save({"step": 8})
    assert checkpoint.load() == {"step": 7}
    checkpoint.save({"step": 9})
    assert checkpoint.load() == {"step": 9}


def test_a_crash_in_the_first_save_leaves_none(checkpoint, monkeypatch):
    with monkeypatch.context() as patch, pytest.raises(PowerCut):
        patch.setattr(torch, "save", write_half)
        checkpoint.save({"step": 1})
    assert checkpoint.load() is None


class Surprise:
    """Unpickling it would run code."""

    def __reduce__(self):
        return (os.putenv, ("SURPRISE", "1"))


def test_loading_never_runs_code(checkpoint):
    checkpoint.save({"step": Surprise()})
    with pytest.raises(pickle.UnpicklingError, match="Weights only load failed"):
        checkpoint.load()


def test_a_sibling_is_another_file_of_the_same_folder(checkpoint):
    checkpoint.save({"step": 1})
    sibling = checkpoint.sibling("warm_start")
    assert sibling.path == checkpoint.path.parent / "warm_start.pt" and sibling.load() is None
    sibling.save({"step": 2})
    assert checkpoint.load() == {"step": 1}


def test_deleting_twice_is_deleting(checkpoint):
    checkpoint.save({"step": 1})
    checkpoint.delete()
    checkpoint.delete()
    assert checkpoint.load() is None
