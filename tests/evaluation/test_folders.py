import numpy as np
import pandas as pd
import pytest
from PIL import Image

from dalle.evaluation.folders import folder_digest, read_folder


def picture(path, *, size=(16, 16), mode="RGB", shade=0):
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.full((size[1], size[0], 3), shade, np.uint8)
    Image.fromarray(pixels).convert(mode).save(path)


@pytest.fixture
def folder(tmp_path):
    for shade, name in enumerate(("b7", "a1", "c3")):
        picture(tmp_path / "samples" / f"{name}.png", shade=shade)
    return tmp_path / "samples"


def listing(folder, rows, columns=("caption_id", "file", "caption")):
    pd.DataFrame(rows, columns=columns).to_csv(folder / "samples.csv", index=False)


CAPTIONS = pd.DataFrame({"caption_id": ["c3", "a1", "b7"], "caption": ["third", "first", "seventh"]})


def test_without_captions_images_come_in_the_order_of_their_names(folder):
    samples = read_folder(folder, None)
    assert samples.captions is None and samples.images.shape == (3, 16, 16, 3) and len(samples.images) == 3
    assert samples.images[:][:, 0, 0, 0].tolist() == [1, 0, 2]
    assert samples.images[np.array([2, 0])][:, 0, 0, 0].tolist() == [2, 1]


def test_names_are_caption_ids_where_captions_are_given(folder):
    samples = read_folder(folder, CAPTIONS)
    assert samples.captions["caption"].tolist() == ["third", "first", "seventh"]
    assert samples.images[:][:, 0, 0, 0].tolist() == [2, 1, 0]


def test_a_samples_csv_says_what_is_what(folder):
    listing(folder, [("1", "a1.png", "one"), ("2", "c3.png", "two"), ("3", "b7.png", "three")])
    samples = read_folder(folder, None)
    assert samples.captions["caption"].tolist() == ["one", "two", "three"]
    assert samples.images[:][:, 0, 0, 0].tolist() == [1, 2, 0]
    captions = pd.DataFrame({"caption_id": ["3", "2", "1"], "caption": ["c", "b", "a"]})
    assert read_folder(folder, captions).captions["caption"].tolist() == ["c", "b", "a"]


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([("1", "a1.png", "one"), ("2", "b7.png", "two")], r"does not match its folder: 1 there and not listed: c3\.png"),
        (
            [("1", "a1.png", ""), ("2", "b7.png", ""), ("3", "c3.png", ""), ("4", "x.png", "")],
            r"1 listed and not there: x\.png",
        ),
        ([("1", "a1.png", ""), ("1", "b7.png", ""), ("3", "c3.png", "")], "caption_id 1 occurs twice; one image a caption"),
    ],
)
def test_a_csv_that_does_not_match_its_folder(folder, rows, message):
    listing(folder, rows)
    with pytest.raises(ValueError, match=message):
        read_folder(folder, None)


def test_a_csv_without_a_column_is_named(folder):
    listing(folder, [("a1.png",)], columns=("file",))
    with pytest.raises(ValueError, match=r"samples\.csv: column caption_id is missing \(it has: file\)"):
        read_folder(folder, None)


def test_captions_that_do_not_fit_the_names(folder):
    captions = pd.DataFrame({"caption_id": ["a1", "b7", "zz"], "caption": ["", "", ""]})
    with pytest.raises(ValueError, match="1 images have no caption and 1 captions no image: c3, zz"):
        read_folder(folder, captions)


def test_unreadable_files_are_named_all_at_once(folder):
    (folder / "a1.png").write_bytes(b"not a picture")
    whole = (folder / "b7.png").read_bytes()
    (folder / "b7.png").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ValueError, match=r"a1\.png: cannot be read as an image: .*; .*b7\.png: cannot be read"):
        read_folder(folder, None)


def test_mixed_sizes_and_what_is_not_square(folder):
    picture(folder / "d4.png", size=(16, 12))
    with pytest.raises(ValueError, match=r"several sizes: .*a1\.png is 16 x 16 pixels, .*d4\.png is 16 x 12 pixels"):
        read_folder(folder, None)
    for name in ("a1", "b7", "c3"):
        picture(folder / f"{name}.png", size=(16, 12))
    with pytest.raises(ValueError, match="a1.png is 16 x 12 pixels: samples are squares"):
        read_folder(folder, None)


@pytest.mark.parametrize("mode", ["L", "LA", "RGBA", "P", "1"])
def test_greyscale_and_transparent_pictures(folder, mode):
    picture(folder / "a1.png", mode=mode)
    with pytest.raises(ValueError, match=rf"a1\.png: is {mode} with . bits a channel, samples are RGB with 8"):
        read_folder(folder, None)


def test_sixteen_bits_a_channel(folder):
    Image.fromarray(np.full((16, 16), 40_000, np.uint16)).save(folder / "a1.png")
    with pytest.raises(ValueError, match=r"a1\.png: is I;16 with 16 bits"):
        read_folder(folder, None)
    (folder / "a1.png").write_bytes(rgb48(16, 16))  # which Pillow opens as plain RGB
    with pytest.raises(ValueError, match=r"a1\.png: is RGB with 16 bits"):
        read_folder(folder, None)


def rgb48(width, height):
    """A PNG with three channels of 16 bits, which Pillow cannot write."""
    import struct
    import zlib

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 16, 2, 0, 0, 0)
    rows = (b"\0" + b"\x12\x34" * 3 * width) * height
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def test_fewer_than_two_images_and_no_folder(tmp_path):
    picture(tmp_path / "one" / "a.png")
    with pytest.raises(ValueError, match="one: holds 1 PNG or JPEG images; an evaluation needs at least 2"):
        read_folder(tmp_path / "one", None)
    with pytest.raises(ValueError, match="nowhere: no such folder"):
        read_folder(tmp_path / "nowhere", None)


def test_the_digest_is_of_names_and_bytes(folder):
    before = folder_digest(folder)
    (folder / "notes.txt").write_text("not a sample")
    assert folder_digest(folder) == before
    picture(folder / "a1.png", shade=9)
    assert folder_digest(folder) != before
    picture(folder / "a1.png", shade=1)
    assert folder_digest(folder) == before
    (folder / "a1.png").rename(folder / "a2.png")
    assert folder_digest(folder) != before


def test_pictures_that_fill_the_memory_are_read_where_they_are_indexed(folder, monkeypatch):
    kept = read_folder(folder, None).images
    monkeypatch.setattr("dalle.evaluation.picture_files.KEPT_BYTES", 3 * 16 * 16 * 3 - 1)
    read = read_folder(folder, None).images
    for rows in (slice(None), slice(1, None), np.array([2, 0, 2]), np.array([1])):
        np.testing.assert_array_equal(read[rows], kept[rows])
    (folder / "a1.png").unlink()
    assert kept[:].shape == (3, 16, 16, 3)
    with pytest.raises(ValueError, match=r"a1\.png: cannot be read as an image"):
        read[np.array([0])]
