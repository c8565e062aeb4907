"""Completions go to the disk and come back as they were."""

import numpy as np
import pandas as pd
import pytest

from dalle.generation.completed_pictures import Completions, read_completions, write_completions


@pytest.fixture
def completions():
    """Three pictures, two of the same file, with four completions each."""
    rng = np.random.default_rng(0)
    pairs = pd.DataFrame({
        "caption_id": ["1", "02", "3"], "image_id": ["cat.png", "cat.png", "a,b.png"], "caption": ["as a sketch", 'in "red"', "null"],
    })  # fmt: skip
    return Completions(
        pairs=pairs,
        images=rng.integers(0, 256, (3, 4, 8, 8, 3), dtype=np.uint8),
        scores=np.array([[0.1, 0.4, 0.2, 0.3], [0.5, 0.1, 0.2, 0.3], [0.1, 0.2, 0.3, 0.4]], np.float32),
        as_asked=rng.random((3, 4)) < 0.5,
    )


@pytest.mark.parametrize("known", [True, False])
def test_what_is_written_is_read(tmp_path, completions, known):
    written = completions if known else Completions(**{**vars(completions), "as_asked": None})
    write_completions(written, tmp_path / "completions")
    read = read_completions(tmp_path / "completions")
    pd.testing.assert_frame_equal(read.pairs, written.pairs, check_dtype=False)
    np.testing.assert_array_equal(read.images, written.images)
    np.testing.assert_allclose(read.scores, written.scores, atol=1e-6)
    assert (read.as_asked == written.as_asked).all() if known else read.as_asked is None
    assert len(list((tmp_path / "completions/images").iterdir())) == 12


def test_the_best_has_the_highest_score(completions):
    assert completions.best.tolist() == [1, 0, 3]
    images, told = completions.candidate(completions.best)
    np.testing.assert_array_equal(images[2], completions.images[2, 3])
    assert told[0] == completions.as_asked[0, 1]
    first, _ = completions.candidate(0)
    np.testing.assert_array_equal(first, completions.images[:, 0])


def test_nothing_to_complete_is_a_table_without_rows(tmp_path):
    write_completions(None, tmp_path / "completions")
    assert (tmp_path / "completions/samples.csv").read_text() == "caption_id,image_id,caption,candidate,file,score,as_asked\n"
    assert read_completions(tmp_path / "completions") is None
