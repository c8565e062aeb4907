"""The pictures that a reranker is told apart from: mixed codes, the prior's samples, and that they are made once."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
import pytest

from dalle.data.sharded_tokens import ShardedTokens
from dalle.data.token_store import TokenStore
from dalle.dvae.model import load_dvae
from dalle.generation import clip_pool
from dalle.generation.clip_pool import make_pool, mixed_codes
from dalle.generation.decoding import decode_codes
from dalle.prior.kinds import load_prior
from tiny_model_sets import CODEBOOK, GRID, save_dvae, save_prior, tiny_tokenizer


@dataclass(frozen=True)
class Sizes:
    pictures: int
    mixed: int
    sampled: int


@pytest.fixture(scope="module")
def parts(tmp_path_factory):
    folder, rng = tmp_path_factory.mktemp("models"), np.random.default_rng(0)
    save_dvae(folder)
    save_prior(folder)
    dvae, prior = load_dvae(folder / "dvae"), load_prior(folder / "prior")
    tokens = rng.integers(0, CODEBOOK, (12, 1, GRID * GRID)).astype(np.uint16)
    pairs = pd.DataFrame(
        {
            "pair_id": [f"p{i}" for i in range(12)],
            "image_id": [f"p{i}" for i in range(12)],
            "caption": [f"a red star {i}" for i in range(12)],
            "split": ["valid", "train", "train"] * 4,
        }
    )
    return TokenStore(ShardedTokens([tokens]), pairs, CODEBOOK, GRID, "none"), tiny_tokenizer(), prior, dvae


def pool(parts, folder, sizes):
    store, tokenizer, prior, dvae = parts
    return make_pool(store, tokenizer, prior, dvae, sizes, seed=3, batch_size=4, device="cpu", work_folder=folder)


def test_mixed_codes_hold_a_rectangle_of_another_row():
    codes = np.repeat(np.arange(40, dtype=np.uint16), 64).reshape(40, 64)  # every cell tells its row
    mixed = mixed_codes(codes, 8, 0, 5)
    for row, image in enumerate(mixed.reshape(40, 8, 8)):
        strange = image != row
        if strange.any():
            assert len(np.unique(image[strange])) == 1
            rows, columns = np.flatnonzero(strange.any(1)), np.flatnonzero(strange.any(0))
            assert strange[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1].all()
            assert 2 <= len(rows) <= 5 and 2 <= len(columns) <= 5
    assert (mixed != codes).any(1).mean() > 0.9
    assert not np.array_equal(mixed, mixed_codes(codes, 8, 1, 5))


def test_a_pool_shows_training_pairs_through_the_dvae_and_their_negatives(parts, tmp_path):
    store, *_, dvae = parts
    rows, images = pool(parts, tmp_path, Sizes(pictures=100, mixed=1, sampled=2))
    assert rows.tolist() == [i for i in range(12) if i % 3]  # the whole split, and none that is held out
    size = dvae.config.image_size
    assert images.shape == (8, 4, size, size, 3) and images.dtype == np.uint8
    own = store.image_tokens[rows, np.zeros(8, dtype=int)]
    assert np.array_equal(images[:, 0], decode_codes(dvae, own, 4, "cpu"))
    assert np.array_equal(images[:, 1], decode_codes(dvae, mixed_codes(own, GRID, 0, 3), 4, "cpu"))
    assert not np.array_equal(images[:, 2], images[:, 3])


def test_what_was_made_before_a_kill_is_not_made_again(parts, tmp_path, monkeypatch):
    _, first = pool(parts, tmp_path, Sizes(pictures=4, mixed=1, sampled=1))
    monkeypatch.setattr(clip_pool, "decode_codes", lambda *_: pytest.fail("decoded again"))
    rows, second = pool(parts, tmp_path, Sizes(pictures=4, mixed=1, sampled=1))
    assert len(rows) == 4 and np.array_equal(first, second)
    assert [path.name for path in tmp_path.iterdir()] == ["pool.npy"]
