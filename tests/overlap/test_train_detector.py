from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from copied_pictures import NETWORK, detector_config, jpeg, manifest, picture, posted_again

from dalle.overlap.embedding import embedded_chunks, embedder, pictures, thumbnails
from dalle.overlap.search import nearest
from dalle.overlap.train import CopyBatches, train_detector
from dalle.training.checkpoint import Checkpoint
from dalle.training.log import MemoryLog
from dalle.training.loop import RunOptions

OPTIONS = RunOptions(device="cpu", data_workers=1, log_every=10, checkpoint_seconds=1e9)
NUM_EVALUATED, NUM_PLANTED, NUM_MIRRORED = 60, 20, 5


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """Training pairs of which the first 20 repeat evaluation images, 5 of them mirrored; and the evaluation images."""
    folder = tmp_path_factory.mktemp("world")
    evaluated = [picture(seed) for seed in range(NUM_EVALUATED)]
    planted = [image.transpose(0) if number < NUM_MIRRORED else image for number, image in enumerate(evaluated[:NUM_PLANTED])]
    images = [*map(posted_again, planted), *(jpeg(picture(seed), 92) for seed in range(1000, 1180))]
    training = manifest(folder / "web.bin", images, prefix="w", split=lambda index: "valid" if index % 8 == 7 else "train")
    return training, manifest(folder / "val.bin", [jpeg(image, 92) for image in evaluated], prefix="e", split=lambda _: "val")


def run(pairs, folder, *, seed=0, options=OPTIONS, log=None, **changes):
    checkpoint, log = Checkpoint(folder / "state.pt"), log or MemoryLog()
    return *train_detector(pairs, detector_config(**changes), seed=seed, options=options, checkpoint=checkpoint, log=log), log


def find(embed, world, folder, batch_size=16):
    training, evaluated = world
    batches = [(embed(batch), embed(batch[:, :, ::-1])) for batch in pictures(evaluated, NETWORK.image_size, batch_size)]
    queries, mirrored = map(np.concatenate, zip(*batches, strict=True))
    chunks = embedded_chunks(embed, training, NETWORK.image_size, folder, batch_size=batch_size)
    return nearest(queries, mirrored, chunks, block_size=50)


def test_planted_copies_are_found_and_nothing_else(world, tmp_path):
    """One threshold has every copy above it, mirrored ones too, and every other image below; thumbnails know them as well."""
    detector, metrics, log = run(world[0], tmp_path)
    assert set(metrics) == {f"valid/{name}" for name in ("loss", "top1", "suggested_threshold", "precision", "recall")}
    assert metrics["valid/top1"] > 0.8 and metrics["valid/precision"] >= 0.95
    assert log.points[0][1]["train/loss"] > 2 * metrics["valid/loss"]
    for embed in (embedder(detector, "cpu", "fp32"), thumbnails):
        found = find(embed, world, tmp_path / "chunks" / getattr(embed, "__name__", "detector"))
        copies = np.arange(NUM_EVALUATED) < NUM_PLANTED
        assert found.index[copies].tolist() == list(range(NUM_PLANTED))
        assert found.mirrored[copies].tolist() == [number < NUM_MIRRORED for number in range(NUM_PLANTED)]
        assert found.similarity[copies].min() > found.similarity[~copies].max()


class Killed(Exception):
    pass


class KillingLog(MemoryLog):
    """Dies right after the update that follows some checkpoint."""

    def __call__(self, step, metrics):
        super().__call__(step, metrics)
        if step >= 9:
            raise Killed


def test_a_killed_training_goes_on_to_the_same_weights(world, tmp_path):
    changes = {"updates": 16, "batch_size": 8, "validate_every": 16}
    whole, metrics, _ = run(world[0], tmp_path / "whole", **changes)
    often = replace(OPTIONS, checkpoint_seconds=0, log_every=2)
    with pytest.raises(Killed):
        run(world[0], tmp_path / "killed", options=often, log=KillingLog(), **changes)
    assert 0 < Checkpoint(tmp_path / "killed" / "state.pt").load()["step"] < 16
    resumed, again, _ = run(world[0], tmp_path / "killed", options=replace(often, data_workers=0), **changes)
    assert again == metrics
    assert all(torch.equal(a, b) for a, b in zip(whole.state_dict().values(), resumed.state_dict().values(), strict=True))
    other, *_ = run(world[0], tmp_path / "other", seed=1, **changes)
    assert not torch.equal(other.project.weight, whole.project.weight)


def test_batches_are_a_function_of_the_step_and_know_repeated_pictures(world):
    images = world[0].head(6)
    batches, again = (CopyBatches(images, detector_config(batch_size=8), 0) for _ in range(2))
    again(3)
    first, second = batches(5), again(5)
    assert all(torch.equal(first[name], second[name]) for name in ("originals", "copies", "same_picture"))
    assert not torch.equal(first["copies"], batches(6)["copies"])
    flat = first["originals"].flatten(1)
    assert torch.equal((flat[:, None] == flat).all(-1), first["same_picture"])
    assert first["same_picture"].sum() > 8  # eight of six pictures: some are there twice, each with a copy of its own
    assert len(torch.unique(first["copies"].flatten(1), dim=0)) == 8
    assert 0 <= first["copies"].min() and first["copies"].max() <= 1


def test_finished_chunks_are_not_embedded_again(world, tmp_path, monkeypatch):
    monkeypatch.setattr("dalle.overlap.embedding.CHUNK_BATCHES", 2)
    calls = []

    def counting(images):
        calls.append(len(images))
        if len(calls) == 8:
            raise Killed
        return thumbnails(images)

    training = world[0]
    with pytest.raises(Killed):
        list(embedded_chunks(counting, training, 16, tmp_path, batch_size=16))
    done = len(list(tmp_path.glob("*.npy")))
    assert done == 3 and not list(tmp_path.glob("*.tmp"))
    chunks = list(embedded_chunks(counting, training, 16, tmp_path, batch_size=16))
    assert calls[8] == 16 and sum(calls[8:]) == len(training) - done * 32
    whole = np.concatenate(list(pictures(training, 16, 7)))
    np.testing.assert_array_equal(np.concatenate(chunks), thumbnails(whole))


@pytest.mark.parametrize(
    ("changes", "words"),
    [({"shards": 2}, "optim.shards must be 1, got 2"), ({"batch_size": 1}, "optim.batch_size must be at least 2")],
)
def test_a_batch_that_cannot_be_compared_is_refused(changes, words):
    with pytest.raises(ValueError, match=words):
        detector_config(**changes)


def test_too_few_held_out_images_are_named(world, tmp_path):
    training = world[0][world[0]["split"] == "train"]
    with pytest.raises(ValueError, match="0 images of split 'valid'"):
        run(pd.DataFrame(training), tmp_path)
