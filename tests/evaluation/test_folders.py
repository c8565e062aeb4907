import os
import re

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from dalle.evaluation.folders import (
    folder_digest,
    folder_words,
    image_keys,
    picture_files,
    read_folder,
    read_folder_by_image,
)


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


TURNED = Image.Exif()
TURNED[0x0112] = 3


@pytest.mark.parametrize(
    ("options", "words"), [({"exif": TURNED}, "is turned by its EXIF"), ({"transparency": (0, 0, 0)}, "has a transparent")]
)
def test_what_decoders_show_differently_is_refused(folder, options, words):
    Image.fromarray(np.zeros((16, 16, 3), np.uint8)).save(folder / "a1.png", **options)
    with pytest.raises(ValueError, match=rf"a1\.png: {words}"):
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
    with pytest.raises(ValueError, match="one: holds 1 PNG, JPEG or WebP images; an evaluation needs at least 2"):
        read_folder(tmp_path / "one", None)
    with pytest.raises(ValueError, match="nowhere: no such folder"):
        read_folder(tmp_path / "nowhere", None)


def test_pictures_behind_links_are_read_and_each_folder_once(tmp_path):
    for shade in range(3):
        picture(tmp_path / "photos/a" / f"{shade}.png", shade=shade)
    for shade in range(3, 8):
        picture(tmp_path / "disk2/b" / f"{shade}.png", shade=shade)
    (tmp_path / "photos/b").symlink_to(tmp_path / "disk2/b")
    (tmp_path / "photos/a/up").symlink_to(tmp_path / "photos")
    (tmp_path / "photos/again").symlink_to(tmp_path / "disk2/b")
    assert read_folder(tmp_path / "photos", None).images[:][:, 0, 0, 0].tolist() == list(range(8))


def other_format(folder):
    picture(folder / "d4.png")
    (folder / "d4.png").rename(folder / "d4.TIFF")


def dead_link(folder):
    (folder / "d4.png").symlink_to(folder / "nowhere.png")


def not_utf8(folder):
    (folder / "d4.png").write_bytes((folder / "a1.png").read_bytes())
    os.rename(folder / "d4.png", os.fsencode(folder) + b"/d\xe9.png")


@pytest.mark.parametrize(
    ("add", "message"),
    [
        (other_format, r"d4\.TIFF: a picture in a format that is not read"),
        (dead_link, r"d4\.png: a link that leads nowhere"),
        (not_utf8, r"d\\xe9\.png: its name is not UTF-8"),
    ],
)
def test_more_than_a_hundredth_that_falls_away_is_an_error(tmp_path, add, message):
    for number in range(99):
        picture(tmp_path / f"{number:02}.png", shade=number)
    (tmp_path / "a1.png").symlink_to("00.png")
    add(tmp_path)
    assert len(picture_files(tmp_path)) == 100
    counted, named = folder_words(tmp_path, picture_files(tmp_path))
    assert counted.startswith(f"{tmp_path}: 101 entries, 100 used; left: ") and re.search(message, named)
    (tmp_path / "a1.png").unlink()
    (tmp_path / "00.png").unlink()
    with pytest.raises(ValueError, match="1 entries cannot be used beside 98 pictures, more than 1%: .*" + message):
        picture_files(tmp_path)


def test_names_match_in_whatever_form_their_accents_are(tmp_path):
    for name, shade in (("cafe\u0301", 1), ("b", 2)):
        picture(tmp_path / f"{name}.png", shade=shade)
    captions = pd.DataFrame({"caption_id": ["b", "caf\u00e9"], "caption": ["x", "y"]})
    assert read_folder(tmp_path, captions).images[:][:, 0, 0, 0].tolist() == [2, 1]
    listing(tmp_path, [("1", "caf\u00e9.png", "y"), ("2", "b.png", "x")])
    assert read_folder(tmp_path, None).images[:][:, 0, 0, 0].tolist() == [1, 2]
    (tmp_path / "samples.csv").unlink()
    assert len(read_folder_by_image(tmp_path, {"caf\u00e9", "b"}).images) == 2


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_a_samples_csv_as_a_spreadsheet_saves_it(folder, encoding):
    lines = ("Caption_ID;File;Caption", '1;c3.png;"a; b"', "a1;a1.png;x", "b7;b7.png;x", "")
    (folder / "samples.csv").write_bytes("\r\n".join(lines).encode(encoding))
    assert read_folder(folder, None).captions["caption"].tolist() == ["a; b", "x", "x"]


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


ALBATROSS, COCO = "Black_Footed_Albatross_0046_18", "COCO_val2014_000000203564"
EVALUATED = pd.DataFrame(
    {
        "image_id": ["18", "18", "203564", "7"],
        "file": [
            f"cub/images/001.Black_footed_Albatross/{ALBATROSS}.jpg", f"cub/images/001.Black_footed_Albatross/{ALBATROSS}.jpg",
            f"coco/val2014/{COCO}.jpg", "coco/val2014/other.jpg",
        ],
        "offset": [0, 0, 0, 0],
    }
)  # fmt: skip


@pytest.mark.parametrize(
    "name",
    [
        f"valid/single/{COCO}_s-1.png",  # AttnGAN on MS-COCO
        f"valid/single/001.Black_footed_Albatross/{ALBATROSS}_s-1.png",  # and on CUB
        f"{COCO}_s-1_10.png",  # DM-GAN, its eleventh round
        f"001.Black_footed_Albatross/{ALBATROSS}_s21.png.png",  # DF-GAN
        f"single/{ALBATROSS}_  0.png",  # DF-GAN's first code
        f"{ALBATROSS}.PNG",
        f"001.Black_footed_Albatross/{ALBATROSS}.png",
        "203564.png",
        "18_s-1.jpg",
    ],
)
def test_names_of_the_gans_own_code_tell_the_image(tmp_path, name):
    for shade, file in enumerate((name, "other_s-1.png")):
        picture(tmp_path / file, shade=shade)
    samples = read_folder_by_image(tmp_path, image_keys(EVALUATED))
    assert samples.captions is None and samples.images.shape == (2, 16, 16, 3)


def test_an_image_may_have_several_samples_and_files_come_by_their_names(tmp_path):
    for shade in range(3):
        picture(tmp_path / f"{COCO}_s-1_{2 - shade}.png", shade=shade)
    assert read_folder_by_image(tmp_path, image_keys(EVALUATED)).images[:][:, 0, 0, 0].tolist() == [2, 1, 0]


@pytest.mark.parametrize("name", ["Black_Footed_Albatross_0046_1_s-1", "Black_Footed_Albatross_0046", f"{COCO}0_s-1", f"{COCO}_x", "1_s-1"])
def test_names_of_no_evaluation_image_are_refused(tmp_path, name):
    picture(tmp_path / f"{name}.png")
    picture(tmp_path / f"{COCO}_s-1.png")
    with pytest.raises(ValueError, match=f"1 of no evaluation image: .*{name}.png; a file is called as the evaluation image's is"):
        read_folder_by_image(tmp_path, image_keys(EVALUATED))


def test_all_strangers_are_counted_and_the_first_few_named(tmp_path):
    for number in range(8):
        picture(tmp_path / f"Train_Bird_{number}_s-1.png")
    picture(tmp_path / f"{COCO}_s-1.png")
    with pytest.raises(ValueError, match="8 of no evaluation image: .*Bird_0_s-1.png, .*Bird_4_s-1.png; a file"):
        read_folder_by_image(tmp_path, image_keys(EVALUATED))


def test_what_two_images_are_called_names_neither(tmp_path):
    twice = pd.DataFrame({"image_id": ["a", "b"], "file": ["x/1.jpg", "y/1.jpg"], "offset": [0, 0]})
    assert image_keys(twice) == {"a", "b", "x/1", "y/1"}
    assert image_keys(twice.assign(file="all.tar", offset=[512, 1024])) == {"a", "b"}
    for file in ("x/1_s-1.png", "y/1_s-1.png"):
        picture(tmp_path / file)
    assert len(read_folder_by_image(tmp_path, image_keys(twice)).images) == 2
    picture(tmp_path / "1_s-1.png")
    with pytest.raises(ValueError, match="1 of no evaluation image: .*1_s-1.png"):
        read_folder_by_image(tmp_path, image_keys(twice))


def test_a_samples_csv_of_image_ids_chooses(folder):
    listing(folder, [("c3.png", "203564"), ("a1.png", ALBATROSS)], columns=("file", "image_id"))
    samples = read_folder_by_image(folder, image_keys(EVALUATED))
    assert samples.captions is None and samples.images[:][:, 0, 0, 0].tolist() == [2, 1]
    with pytest.raises(ValueError, match=r"column caption_id is missing \(it has: file, image_id\); image ids alone are match: image_id"):
        read_folder(folder, None)


@pytest.mark.parametrize(
    ("rows", "columns", "message"),
    [
        ([("a1.png", "1")], ("file", "caption_id"), r"column image_id is missing \(it has: file, caption_id\)"),
        ([("a1.png", "18"), ("a1.png", "7")], ("file", "image_id"), "a1.png occurs twice"),
        (
            [("a1.png", "18"), ("../a1.png", "18"), ("b7.png", "8"), ("/etc/x.png", "7")],
            ("file", "image_id"),
            r"2 listed and not there: .*; 1 of no evaluation image: .*b7\.png; a file is called",
        ),
    ],
)
def test_a_samples_csv_of_image_ids_that_does_not_fit(folder, rows, columns, message):
    listing(folder, rows, columns)
    with pytest.raises(ValueError, match=message):
        read_folder_by_image(folder, image_keys(EVALUATED))


def test_larger_pictures_are_reduced_as_the_reference_is(folder):
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (3, 16, 16, 3), dtype=np.uint8)
    for name, image in zip(("a1", "b7", "c3"), pixels, strict=True):
        Image.fromarray(image).save(folder / f"{name}.png")
    reduced = read_folder(folder, CAPTIONS, 8).images
    expected = [np.asarray(Image.fromarray(pixels[row]).resize((8, 8), Image.Resampling.LANCZOS)) for row in (2, 0, 1)]
    np.testing.assert_array_equal(reduced[:], expected)
    assert reduced.shape == (3, 8, 8, 3) and reduced.file_size == 16
    np.testing.assert_array_equal(read_folder(folder, None, 16).images[:], pixels)
    with pytest.raises(ValueError, match="a1.png: is 16 pixels wide, and would be enlarged to 17"):
        read_folder(folder, None, 17)


def test_reduced_pictures_that_fill_the_memory_are_read_where_they_are_indexed(folder, monkeypatch):
    kept = read_folder(folder, None, 8).images[:]
    monkeypatch.setattr("dalle.evaluation.picture_files.KEPT_BYTES", 3 * 8 * 8 * 3 - 1)
    np.testing.assert_array_equal(read_folder(folder, None, 8).images[np.array([0, 1, 2])], kept)
