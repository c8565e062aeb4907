import numpy as np
import pandas as pd
import pytest
from PIL import Image

from dalle.evaluation.samples import read_reranked

# caption "07" keeps candidate 0 for N = 1 and 2 and changes to 3 at 4; caption "b" has one winner throughout
SAMPLES = [("07", 0), ("07", 3), ("b", 0)]
RANKING = [("07", 4, 3), ("07", 1, 0), ("07", 2, 0), ("b", 1, 0), ("b", 2, 0), ("b", 4, 0)]


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "images").mkdir()
    samples = []
    for shade, (caption_id, candidate) in enumerate(SAMPLES):
        file = f"images/{caption_id}-{candidate}.png"
        Image.new("RGB", (8, 8), (shade, 0, 0)).save(tmp_path / file)
        samples.append((caption_id, "1", f"caption {caption_id}", candidate, file))
    columns = ["caption_id", "image_id", "caption", "candidate", "file"]
    pd.DataFrame(samples, columns=columns).to_csv(tmp_path / "samples.csv", index=False)
    write_ranking(tmp_path, RANKING)
    return tmp_path


def write_ranking(folder, ranking):
    frame = pd.DataFrame(ranking, columns=["caption_id", "candidates", "candidate"]).assign(score=0.5)
    frame.to_csv(folder / "ranking.csv", index=False)


def test_finds_the_winner_of_every_caption_and_n(folder):
    samples = read_reranked(folder)
    assert samples.sweep == (1, 2, 4)
    assert samples.captions == ["caption 07", "caption 07", "caption b"]
    np.testing.assert_array_equal(samples.winners, [[0, 0, 1], [2, 2, 2]])
    assert (samples.images.shape, samples.images.dtype) == ((3, 8, 8, 3), np.uint8)
    assert samples.images[samples.winners, 0, 0, 0].tolist() == [[0, 0, 1], [2, 2, 2]]


def test_a_missing_winner_is_named(folder):
    write_ranking(folder, RANKING[:-1])
    with pytest.raises(ValueError, match="caption b has no winner among the first 4"):
        read_reranked(folder)
    write_ranking(folder, [*RANKING[:-1], ("b", 4, 2)])
    with pytest.raises(ValueError, match="candidate 2 of caption b won among 4 and is not listed"):
        read_reranked(folder)


def test_an_unreadable_image_is_named(folder):
    (folder / "images" / "b-0.png").write_bytes(b"not a picture")
    with pytest.raises(ValueError, match=r"b-0\.png: cannot be read as an image"):
        read_reranked(folder)


def test_greyscale_and_mixed_sizes_are_named(folder):
    Image.new("L", (8, 8)).save(folder / "images" / "b-0.png")
    with pytest.raises(ValueError, match=r"b-0\.png: is L with 8 bits a channel"):
        read_reranked(folder)
    Image.new("RGB", (16, 16)).save(folder / "images" / "b-0.png")
    with pytest.raises(ValueError, match=r"several sizes: .*07-0\.png is 8 x 8 pixels, .*b-0\.png is 16 x 16"):
        read_reranked(folder)


@pytest.mark.parametrize(
    ("file", "text", "message"),
    [
        ("samples.csv", "caption_id,file\n1,a.png\n", r"samples\.csv: columns \['caption', 'candidate'\] are missing"),
        ("samples.csv", "caption_id,caption,candidate,file\n", r"samples\.csv: .*must hold whole numbers"),
        ("ranking.csv", "caption_id,candidates\n1,4\n", r"ranking\.csv: columns \['candidate'\] are missing"),
        ("ranking.csv", "caption_id,candidates,candidate\n1,4,best\n", r"ranking\.csv: column candidate must hold whole numbers"),
        ("samples.csv", None, r"samples\.csv: missing; reranked samples are a folder with"),
    ],
)
def test_tables_that_are_not_those_of_a_reranking(folder, file, text, message):
    (folder / file).unlink() if text is None else (folder / file).write_text(text)
    with pytest.raises(ValueError, match=message):
        read_reranked(folder)
