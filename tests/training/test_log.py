import numpy as np

from dalle.training.log import MemoryLog


def test_memory_forgets_what_will_be_done_again():
    log, picture = MemoryLog(), np.zeros((2, 2, 3), np.uint8)
    metrics = {"train/loss": 1.0}
    for step in range(4):
        log(step, metrics)
        log.image("reconstructions", step, picture)
        metrics["train/loss"] /= 2  # what was reported stays as it was
    log.resume(2)
    assert log.points == [(0, {"train/loss": 1.0}), (1, {"train/loss": 0.5})]
    assert [step for _, step, _ in log.images] == [0, 1]
