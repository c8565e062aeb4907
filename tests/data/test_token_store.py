import json

import numpy as np
import pandas as pd
import pytest

from dalle.data.token_store import open_token_store, require_dvae, write_token_store

DVAE = "4f" * 32


@pytest.fixture
def content():
    tokens = np.random.default_rng(0).integers(0, 64, (10, 3, 16)).astype(np.uint16)
    names = [f"{index}" for index in range(10)]
    pairs = pd.DataFrame({"pair_id": names, "image_id": names, "caption": ["été, \u2603"] * 10, "split": "train"})
    return tokens, pairs


def test_round_trip_is_memory_mapped_and_byte_stable(content, tmp_path):
    tokens, pairs = content
    write_token_store(tmp_path / "a", tokens, pairs, 64, 4, DVAE)
    store = open_token_store(tmp_path / "a")
    assert isinstance(store.image_tokens, np.memmap)
    assert np.array_equal(store.image_tokens, tokens)
    assert (store.codebook_size, store.grid_size, store.dvae_sha256) == (64, 4, DVAE)
    pd.testing.assert_frame_equal(store.pairs, pairs)
    write_token_store(tmp_path / "b", tokens[:, ::1], pairs.assign(extra=1).set_index(pairs.index + 3), 64, 4, DVAE)
    for name in ("image_tokens.npy", "pairs.parquet", "store.json"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()
    assert sorted(path.name for path in (tmp_path / "a").iterdir()) == ["image_tokens.npy", "pairs.parquet", "store.json"]


def truncate(folder, other):
    path = folder / "image_tokens.npy"
    path.write_bytes(path.read_bytes()[:-2])


def flip_a_bit(folder, other):
    path = folder / "image_tokens.npy"
    data = bytearray(path.read_bytes())
    data[200] ^= 1
    path.write_bytes(data)


def mix_tokens(folder, other):
    (folder / "image_tokens.npy").write_bytes((other / "image_tokens.npy").read_bytes())


def mix_pairs(folder, other):
    (folder / "pairs.parquet").write_bytes((other / "pairs.parquet").read_bytes())


def lose_description(folder, other):
    (folder / "store.json").unlink()


def lose_pairs(folder, other):
    (folder / "pairs.parquet").unlink()


def garble_description(folder, other):
    (folder / "store.json").write_text("{")


def change_grid(folder, other):
    description = json.loads((folder / "store.json").read_text())
    (folder / "store.json").write_text(json.dumps(description | {"grid_size": 5}))


def foreign_description(folder, other):
    (folder / "store.json").write_text('{"crc32": 3}')


@pytest.mark.parametrize(
    ("damage", "named"),
    [
        (truncate, "image_tokens.npy"),
        (flip_a_bit, "image_tokens.npy"),
        (mix_tokens, "image_tokens.npy"),
        (mix_pairs, "pairs.parquet"),
        (lose_pairs, "pairs.parquet"),
        (lose_description, "store.json"),
        (garble_description, "store.json"),
        (change_grid, "store.json"),
        (foreign_description, "store.json"),
    ],
)
def test_a_damaged_or_mixed_store_is_refused(content, tmp_path, damage, named):
    tokens, pairs = content
    write_token_store(tmp_path / "store", tokens, pairs, 64, 4, DVAE)
    write_token_store(tmp_path / "other", tokens[::-1], pairs[::-1], 64, 4, DVAE)
    damage(tmp_path / "store", tmp_path / "other")
    with pytest.raises(ValueError, match=named):
        open_token_store(tmp_path / "store")


def test_what_does_not_fit_together_is_not_written(content, tmp_path):
    tokens, pairs = content
    for arguments, message in [
        ((tokens, pairs, int(tokens.max()), 4), "codebook_size"),
        ((tokens, pairs, 64, 5), "grid_size"),
        ((tokens.astype(np.int64), pairs, 64, 4), "uint16"),
        ((tokens, pairs[:-1], 64, 4), "as many rows"),
        ((tokens, pairs.drop(columns="caption"), 64, 4), "caption"),
    ]:
        with pytest.raises(ValueError, match=message):
            write_token_store(tmp_path / "store", *arguments, DVAE)
    assert not (tmp_path / "store").exists()


def test_tokens_of_another_dvae_are_refused(content, tmp_path):
    write_token_store(tmp_path, *content, 64, 4, DVAE)
    store = open_token_store(tmp_path)
    require_dvae(store, DVAE)
    with pytest.raises(ValueError, match=f"another dVAE: its weights had the sha256 {DVAE}, those given have 00;"):
        require_dvae(store, "00")


def test_an_interrupted_rewrite_leaves_no_store_that_opens(content, tmp_path, monkeypatch):
    tokens, pairs = content
    write_token_store(tmp_path, tokens, pairs, 64, 4, DVAE)
    monkeypatch.setattr("dalle.data.token_store.pq.write_table", lambda *_, **__: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        write_token_store(tmp_path, tokens[::-1], pairs[::-1], 64, 4, DVAE)
    with pytest.raises(ValueError, match="interrupted"):
        open_token_store(tmp_path)
