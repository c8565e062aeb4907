import pandas as pd
import pytest

from dalle.data.image_files import load_image
from dalle.data.manifest import (
    iterate_manifest,
    manifest_writer,
    num_parts,
    one_row_per_image,
    places,
    read_manifest,
    read_part,
    write_manifest,
)


def test_round_trip_keeps_values_types_and_is_byte_stable(manifest, tmp_path):
    write_manifest(manifest, tmp_path / "deep" / "a.parquet")
    again = read_manifest(tmp_path / "deep" / "a.parquet")
    pd.testing.assert_frame_equal(again, manifest)
    # columns in another order, other integer types, another index: the same file
    shuffled = manifest[manifest.columns[::-1]].astype({"width": "int64"}).set_index(manifest.index + 5)
    write_manifest(shuffled, tmp_path / "b.parquet")
    assert (tmp_path / "b.parquet").read_bytes() == (tmp_path / "deep" / "a.parquet").read_bytes()
    assert not list(tmp_path.rglob("*.partial"))


@pytest.mark.parametrize(
    ("change", "rule"),
    [
        (lambda frame: frame.drop(columns="crc32"), "missing \\['crc32'\\]"),
        (lambda frame: frame.assign(score=1.0), "unknown \\['score'\\]"),
        (lambda frame: frame.assign(pair_id="same"), "pair_id must be unique"),
        (lambda frame: frame.assign(split="training"), "split must be one of train, valid, val, test"),
        (lambda frame: frame.assign(offset=-1), "must not be negative"),
        (lambda frame: frame.assign(crc32=2**32), "crc32 must be from 0 to"),
        (lambda frame: frame.assign(caption=[None] * len(frame)), "no value may be empty"),
        (lambda frame: frame.assign(box_right=3), "a box must be all zeros, or left < right"),
        (lambda frame: frame.assign(width="wide"), "a column does not have its type"),
        (lambda frame: frame.assign(image_id="one", split=["train"] * 5 + ["valid"]), "an image belongs to one split"),
    ],
)
def test_a_broken_rule_is_an_error_that_names_file_and_rule(manifest, tmp_path, change, rule):
    path = tmp_path / "pairs.parquet"
    write_manifest(manifest, path)
    before = path.read_bytes()
    with pytest.raises(ValueError, match=rule) as raised:
        write_manifest(change(manifest), path)
    assert str(path) in str(raised.value)
    assert path.read_bytes() == before
    change(manifest).to_parquet(path)
    with pytest.raises(ValueError, match=rule):
        read_manifest(path)


def test_missing_and_foreign_files_are_named(tmp_path):
    with pytest.raises(ValueError, match="nothing.parquet: no such manifest"):
        read_manifest(tmp_path / "nothing.parquet")
    (tmp_path / "text.parquet").write_text("pair_id,caption\n")
    with pytest.raises(ValueError, match="text.parquet: not a readable Parquet file"):
        read_manifest(tmp_path / "text.parquet")


def test_one_row_per_image_keeps_the_first_caption(manifest):
    doubled = pd.concat([manifest, manifest.assign(pair_id=manifest.pair_id + "b", caption="second")])
    pd.testing.assert_frame_equal(one_row_per_image(doubled), manifest)


def test_a_manifest_is_read_in_parts_that_do_not_depend_on_how_it_was_written(manifest, tmp_path, monkeypatch):
    monkeypatch.setattr("dalle.data.manifest.ROWS_A_PART", 4)
    path = tmp_path / "pairs.parquet"
    for frames in ([manifest], [manifest[:2], manifest[2:3], manifest[3:]], [manifest[:0], manifest[:5], manifest[5:]]):
        with manifest_writer(path) as writer:
            for frame in frames:
                writer.write(frame)
            assert writer.num_pairs == len(manifest)
        write_manifest(manifest, tmp_path / "at_once.parquet")
        assert path.read_bytes() == (tmp_path / "at_once.parquet").read_bytes()
    pd.testing.assert_frame_equal(read_manifest(path), manifest)
    parts = [manifest[:4], manifest[4:].reset_index(drop=True)]
    assert num_parts(path) == 2
    for number, (part, again) in enumerate(zip(parts, iterate_manifest(path), strict=True)):
        pd.testing.assert_frame_equal(again, part)
        pd.testing.assert_frame_equal(read_part(path, number), part)
    write_manifest(manifest[1:], path)
    pd.testing.assert_frame_equal(read_part(path, 0), manifest[1:5].reset_index(drop=True))
    with pytest.raises(KeyboardInterrupt), manifest_writer(tmp_path / "broken.parquet") as writer:
        writer.write(manifest)
        raise KeyboardInterrupt
    assert not list(tmp_path.glob("broken*"))


def test_a_manifest_of_nothing(tmp_path, manifest):
    write_manifest(manifest[:0], tmp_path / "none.parquet")
    assert list(read_manifest(tmp_path / "none.parquet").columns) == list(manifest.columns)
    assert [len(part) for part in iterate_manifest(tmp_path / "none.parquet")] == [0]
    with manifest_writer(tmp_path / "no_parts.parquet"):
        pass
    assert len(read_manifest(tmp_path / "no_parts.parquet")) == 0


def test_a_box_is_the_part_of_the_image_that_is_loaded(manifest):
    whole = load_image(*places(manifest)[0])
    boxed = manifest.assign(box_left=3, box_top=1, box_right=20, box_bottom=31)
    assert (load_image(*places(boxed)[0]) == whole[1:31, 3:20]).all()
    with pytest.raises(ValueError, match="images.bin: its box .* is not within the 48 x 40 pixels"):
        load_image(*places(boxed.assign(box_right=49))[0])
