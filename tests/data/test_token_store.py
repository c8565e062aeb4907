import json
import pickle
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from small_stores import write_store

from dalle.data.sharded_tokens import ShardedTokens
from dalle.data.token_shards import count_codes, finished_shard, in_shards, join_shards, write_shard, write_shards
from dalle.data.token_store import SHARD_FILES, open_token_store, require_dvae

DVAE = "4f" * 32
SIZES = {"codebook_size": 64, "grid_size": 4}
SETTINGS = {**SIZES, "dvae_sha256": DVAE, "pairs_per_shard": 4}


@pytest.fixture
def content():
    """Ten pairs: shards of 4, 4 and 2."""
    tokens = np.random.default_rng(0).integers(0, 64, (10, 3, 16)).astype(np.uint16)
    names = [f"{index}" for index in range(10)]
    pairs = pd.DataFrame({"pair_id": names, "image_id": names, "caption": ["été, \u2603"] * 10, "split": "train"})
    return tokens, pairs


def bytes_of(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_round_trip_is_memory_mapped_and_byte_stable(content, tmp_path):
    tokens, pairs = content
    write_store(tmp_path / "a", tokens, pairs, **SETTINGS)
    store = open_token_store(tmp_path / "a")
    assert store.image_tokens.shape == tokens.shape and store.image_tokens.dtype == np.uint16
    assert np.array_equal(store.image_tokens, tokens)
    assert (store.codebook_size, store.grid_size, store.dvae_sha256) == (64, 4, DVAE)
    pd.testing.assert_frame_equal(store.pairs, pairs)
    write_store(tmp_path / "b", tokens[:, ::1], pairs.assign(extra=1).set_index(pairs.index + 3), **SETTINGS)
    assert bytes_of(tmp_path / "a") == bytes_of(tmp_path / "b")
    assert sorted(bytes_of(tmp_path / "a")) == sorted(
        ["store.json", *(name.format(number) for name in SHARD_FILES for number in range(3))]
    )


@pytest.mark.parametrize(("num_pairs", "pairs_per_shard"), [(1, 1), (1, 4), (4, 4), (5, 4), (8, 4), (10, 1), (10, 100)])
def test_any_number_of_pairs_in_shards_of_any_size(content, tmp_path, num_pairs, pairs_per_shard):
    tokens, pairs = content[0][:num_pairs], content[1][:num_pairs]
    write_store(tmp_path / "store", tokens, pairs, **{**SETTINGS, "pairs_per_shard": pairs_per_shard})
    store = open_token_store(tmp_path / "store")
    np.testing.assert_array_equal(store.image_tokens, tokens)
    pd.testing.assert_frame_equal(store.pairs, pairs)


def test_no_pairs_are_no_store(tmp_path):
    with pytest.raises(ValueError, match="no pairs"):
        join_shards(tmp_path, 0, tmp_path / "store", views=3, **SIZES, dvae_sha256=DVAE)


@given(st.lists(st.integers(0, 9)), st.integers(1, 12))
def test_parts_are_cut_anew_without_losing_or_moving_a_row(lengths, pairs_per_shard):
    ends = np.cumsum([0, *lengths])
    parts = [pd.DataFrame({"row": range(start, end)}) for start, end in zip(ends[:-1], ends[1:], strict=True)]
    shards = list(in_shards(parts, pairs_per_shard))
    assert [row for shard in shards for row in shard["row"]] == list(range(ends[-1]))
    assert {len(shard) for shard in shards[:-1]} <= {pairs_per_shard} and all(0 < len(s) <= pairs_per_shard for s in shards)


@st.composite
def indexed(draw):
    lengths = draw(st.lists(st.integers(1, 7), min_size=1, max_size=6))
    total, views = sum(lengths), draw(st.integers(1, 3))
    rows = draw(st.lists(st.integers(-total, total - 1), max_size=20))
    chosen = draw(st.lists(st.integers(-views, views - 1), min_size=len(rows), max_size=len(rows)))
    bounds = [draw(st.none() | st.integers(-9, 30)) for _ in range(2)]
    return lengths, views, np.array(rows, int), np.array(chosen, int), slice(*bounds, draw(st.sampled_from([None, 1, 3, -2])))


@given(indexed())
def test_is_indexed_as_the_dense_array_is(case):
    lengths, num_views, rows, views, part = case
    dense = np.arange(sum(lengths) * num_views * 4, dtype=np.uint16).reshape(-1, num_views, 4)
    tokens = ShardedTokens(np.split(dense, np.cumsum(lengths)[:-1]))
    assert len(tokens) == len(dense) and tokens.shape == dense.shape
    for index in (rows, part, (rows, views), (rows, 0), (part, num_views - 1)):
        found = tokens[index]
        assert found.dtype == np.uint16 and found.shape == dense[index].shape
        np.testing.assert_array_equal(found, dense[index])


@pytest.mark.parametrize("rows", [[10], [-11], [3, 12], [True] * 10, [0.0], 3])
def test_rows_that_are_not_there_are_an_index_error(content, rows):
    with pytest.raises(IndexError, match="row"):
        ShardedTokens(np.split(content[0], 2))[np.array(rows)]


def test_many_threads_read_at_once_and_a_pickle_holds_names_instead_of_tokens(content, tmp_path):
    tokens = np.random.default_rng(0).integers(0, 64, (4000, 3, 16)).astype(np.uint16)
    pairs = pd.DataFrame({name: [str(index) for index in range(4000)] for name in ("pair_id", "image_id", "caption", "split")})
    write_store(tmp_path / "store", tokens, pairs, **{**SETTINGS, "pairs_per_shard": 300})
    mapped = open_token_store(tmp_path / "store").image_tokens
    data = pickle.dumps(mapped)
    assert len(data) < 4000
    copy = pickle.loads(data)
    drawn = [np.random.default_rng(seed).integers(0, 4000, 500) for seed in range(40)]
    with ThreadPoolExecutor(8) as pool:
        for rows, *found in zip(drawn, pool.map(mapped.__getitem__, drawn), pool.map(copy.__getitem__, drawn), strict=True):
            for values in found:
                np.testing.assert_array_equal(values, tokens[rows])


def truncate(folder, other):
    path = folder / "image_tokens-00001.npy"
    path.write_bytes(path.read_bytes()[:-2])


def flip_a_bit(folder, other):
    path = folder / "image_tokens-00002.npy"
    data = bytearray(path.read_bytes())
    data[200] ^= 1
    path.write_bytes(data)


def mix_tokens(folder, other):
    (folder / "image_tokens-00001.npy").write_bytes((other / "image_tokens-00001.npy").read_bytes())


def mix_pairs(folder, other):
    (folder / "pairs-00001.parquet").write_bytes((other / "pairs-00001.parquet").read_bytes())


def mix_shards(folder, other):
    mix_tokens(folder, other)
    mix_pairs(folder, other)


def mix_descriptions(folder, other):
    (folder / "store.json").write_bytes((other / "store.json").read_bytes())


def swap_shards(folder, other):
    for name in SHARD_FILES:
        first, second = (folder / name.format(number) for number in (0, 1))
        kept = first.read_bytes()
        first.write_bytes(second.read_bytes())
        second.write_bytes(kept)


def one_shard_too_many(folder, other):
    (folder / "image_tokens-00003.npy").write_bytes((other / "image_tokens-00001.npy").read_bytes())


def lose_description(folder, other):
    (folder / "store.json").unlink()


def lose_tokens(folder, other):
    (folder / "image_tokens-00000.npy").unlink()


def lose_pairs(folder, other):
    (folder / "pairs-00002.parquet").unlink()


def garble_description(folder, other):
    (folder / "store.json").write_text("{")


def change_grid(folder, other):
    description = json.loads((folder / "store.json").read_text())
    (folder / "store.json").write_text(json.dumps(description | {"grid_size": 5}))


def foreign_description(folder, other):
    (folder / "store.json").write_text('{"shards": 3}')


def foreign_shards(folder, other):
    description = json.loads((folder / "store.json").read_text())
    (folder / "store.json").write_text(json.dumps(description | {"shards": [{"num_pairs": 4, "crc32": 7}]}))


@pytest.mark.parametrize(
    ("damage", "named"),
    [
        (truncate, "image_tokens-00001.npy"),
        (flip_a_bit, "image_tokens-00002.npy"),
        (mix_tokens, "image_tokens-00001.npy"),
        (mix_pairs, "pairs-00001.parquet"),
        (mix_shards, "image_tokens-00001.npy"),
        (mix_descriptions, "image_tokens-00000.npy"),
        (swap_shards, "image_tokens-00000.npy"),
        (one_shard_too_many, "image_tokens-00003.npy"),
        (lose_tokens, "image_tokens-00000.npy"),
        (lose_pairs, "pairs-00002.parquet"),
        (lose_description, "store.json"),
        (garble_description, "store.json"),
        (change_grid, "store.json"),
        (foreign_description, "store.json"),
        (foreign_shards, "store.json"),
    ],
)
def test_a_damaged_or_mixed_store_is_refused(content, tmp_path, damage, named):
    tokens, pairs = content
    write_store(tmp_path / "store", tokens, pairs, **SETTINGS)
    write_store(tmp_path / "other", tokens[::-1], pairs[::-1], **SETTINGS)
    damage(tmp_path / "store", tmp_path / "other")
    with pytest.raises(ValueError, match=named):
        open_token_store(tmp_path / "store")


def test_what_does_not_fit_together_is_not_written(content, tmp_path):
    tokens, pairs = content
    for (image_tokens, rows), changes, message in [
        ((tokens, pairs), {"codebook_size": int(tokens.max())}, "codebook_size"),
        ((tokens, pairs), {"grid_size": 5}, "grid_size"),
        ((tokens.astype(np.int64), pairs), {}, "uint16"),
        ((tokens, pairs[:-1]), {}, "as many rows"),
        ((tokens[:0], pairs[:0]), {}, "one at least"),
        ((tokens, pairs.drop(columns="caption")), {}, "caption"),
    ]:
        with pytest.raises(ValueError, match=message):
            write_shard(tmp_path / "shards", 0, image_tokens, rows, **{**SIZES, **changes})
    assert not (tmp_path / "shards").exists()


def test_tokens_of_another_dvae_are_refused(content, tmp_path):
    write_store(tmp_path / "store", *content, **SETTINGS)
    store = open_token_store(tmp_path / "store")
    require_dvae(store, DVAE)
    with pytest.raises(ValueError, match=f"another dVAE: its weights had the sha256 {DVAE}, those given have 00;"):
        require_dvae(store, "00")


def test_a_join_that_is_interrupted_leaves_no_store_that_opens_and_the_shards_as_they_were(content, tmp_path, monkeypatch):
    write_store(tmp_path / "store", *content, **SETTINGS)
    shards, again = tmp_path / "store-shards", tmp_path / "again"
    before = bytes_of(shards)
    monkeypatch.setattr("dalle.data.token_shards._write_json", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        join_shards(shards, 3, again, views=3, **SIZES, dvae_sha256=DVAE)
    with pytest.raises(ValueError, match="interrupted"):
        open_token_store(again)
    assert bytes_of(shards) == before


def test_shards_are_copied_where_they_cannot_be_linked(content, tmp_path, monkeypatch):
    write_store(tmp_path / "linked", *content, **SETTINGS)
    monkeypatch.setattr("os.link", lambda *_: (_ for _ in ()).throw(OSError("another disk")))
    write_store(tmp_path / "copied", *content, **SETTINGS)
    assert bytes_of(tmp_path / "linked") == bytes_of(tmp_path / "copied")


@pytest.mark.parametrize("file", [name.format(0) for name in (*SHARD_FILES, "shard-{:05}.json")])
def test_a_shard_that_is_not_there_whole_is_not_finished(content, tmp_path, file):
    assert finished_shard(tmp_path, 0) is None
    write_shard(tmp_path, 0, *content, **SIZES)
    np.testing.assert_array_equal(finished_shard(tmp_path, 0), content[0])
    data = (tmp_path / file).read_bytes()
    (tmp_path / file).write_bytes(data[: len(data) // 2])
    assert finished_shard(tmp_path, 0) is None
    (tmp_path / file).unlink()
    assert finished_shard(tmp_path, 0) is None


def test_codes_are_counted(content, monkeypatch):
    monkeypatch.setattr("dalle.data.token_shards.CHUNK_BYTES", 250)
    np.testing.assert_array_equal(count_codes(content[0], 70), np.bincount(content[0].ravel(), minlength=70))


def lookup(tokens, asked, dies_after=99):
    """An encoder that looks up what it is asked for, writes it down, and dies after so many shards."""

    def encode(part):
        if len(asked) == dies_after:
            raise KeyboardInterrupt
        asked.append(part["pair_id"].tolist())
        return tokens[part["pair_id"].astype(int)]

    return encode


@pytest.mark.parametrize("killed_after", [0, 1, 2])
def test_who_is_killed_goes_on_with_the_next_shard_to_the_same_bytes(content, tmp_path, killed_after):
    tokens, pairs = content
    settings = {**SIZES, "pairs_per_shard": 4}
    undisturbed = write_shards([pairs], tmp_path / "undisturbed", lookup(tokens, []), **settings)
    asked = []
    with pytest.raises(KeyboardInterrupt):
        write_shards([pairs[:3], pairs[3:]], tmp_path / "killed", lookup(tokens, asked, killed_after), **settings)
    resumed = write_shards([pairs[:3], pairs[3:]], tmp_path / "killed", lookup(tokens, asked), **settings)
    assert asked == [list("0123"), list("4567"), list("89")]  # none of them twice
    assert bytes_of(tmp_path / "killed") == bytes_of(tmp_path / "undisturbed")
    assert (resumed.num_shards, resumed.num_pairs, resumed.num_encoded) == (3, 10, 10 - 4 * killed_after)
    for shards in (undisturbed, resumed):
        np.testing.assert_array_equal(shards.code_counts, np.bincount(tokens.ravel(), minlength=64))


def test_a_shard_that_was_damaged_meanwhile_is_encoded_again(content, tmp_path):
    asked, settings = [], {**SIZES, "pairs_per_shard": 4}
    write_shards([content[1]], tmp_path / "shards", lookup(content[0], asked), **settings)
    before = bytes_of(tmp_path / "shards")
    flip_a_bit(tmp_path / "shards", None)
    asked.clear()
    write_shards([content[1]], tmp_path / "shards", lookup(content[0], asked), **settings)
    assert asked == [list("89")] and bytes_of(tmp_path / "shards") == before
