from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from dalle.clip.ranking import winners
from dalle.evaluation.samples import read_reranked
from dalle.generation.reranking import write_reranked


class Painted(torch.nn.Module):
    """A codebook of 200 greys: code c fills its pixel with the level c."""

    config = SimpleNamespace(codebook_size=200, grid_size=2, image_size=2)

    def decode(self, codes):
        return (codes[:, None] / 255).expand(-1, 3, -1, -1)


@pytest.fixture
def written(tmp_path):
    """Three captions with four candidates each; candidate n of caption c is painted with the level 40 c + n."""
    captions = pd.DataFrame({"caption_id": ["7-0", "9-1", "11"], "image_id": ["7", "9", "11"], "caption": ["a", 'b "c", d', "e"]})
    levels = 40 * np.arange(3)[:, None] + np.arange(4)
    candidates = np.repeat(levels[..., None], 4, axis=-1).astype(np.uint16)
    scores = np.array([[0.1, 0.9, 0.2, 0.3], [0.5, 0.4, 0.3, 0.6], [0.1, 0.2, 0.3, 0.4]], dtype=np.float32)
    sweep = (1, 2, 4)
    folder = tmp_path / "reranked"
    write_reranked(folder, captions, candidates, scores, winners(scores, sweep), sweep, Painted(), "cpu")
    return folder


def test_what_is_written_is_what_an_evaluation_reads(written):
    """The two ends meet on disk only: each winner's picture, found again by caption and number of candidates."""
    reranked = read_reranked(written)
    assert reranked.sweep == (1, 2, 4)
    levels = reranked.images[:, 0, 0, 0][reranked.winners]
    assert levels.tolist() == [[0, 1, 1], [40, 40, 43], [80, 81, 83]]
    assert [reranked.captions[row] for row in reranked.winners[:, 0]] == ["a", 'b "c", d', "e"]


def test_a_winner_for_many_numbers_is_stored_once(written):
    files = sorted(path.name for path in (written / "images").iterdir())
    assert files == ["11-0.png", "11-1.png", "11-3.png", "7-0-0.png", "7-0-1.png", "9-1-0.png", "9-1-3.png"]
    assert np.asarray(Image.open(written / "images" / "9-1-3.png")).ravel().tolist() == [43] * 12
