"""Sizes and whole files without decoding, beside PIL."""

import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from small_pairs import encoded, make_manifest, picture

from dalle.data import image_files
from dalle.data.filtering.rules import undecodable
from dalle.data.image_headers import JPEG, header_size, what_is_cut
from dalle.miniworld.junk import break_file

EXIF = Image.Exif()
EXIF[0x0112] = 6  # lies on its side
LARGE = picture(3, 300, 200)
THUMBNAIL = encoded(picture(4, 20, 20))  # a whole JPEG, end mark included, within another's header
IMAGES = {
    "plain": encoded(picture(0)),
    "large": encoded(LARGE, quality=95),
    "progressive": encoded(LARGE, progressive=True),
    "grey": encoded(LARGE.convert("L")),
    "cmyk": encoded(LARGE.convert("CMYK")),
    "turned": encoded(LARGE, exif=EXIF),
    "comment": encoded(LARGE, comment=THUMBNAIL),
    "profile": encoded(LARGE, icc_profile=THUMBNAIL * 3),
    "restarts": encoded(LARGE, restart_marker_blocks=5),
    "png": encoded(LARGE, "PNG"),
    "png alpha": encoded(LARGE.convert("RGBA"), "PNG"),
    "png grey": encoded(LARGE.convert("L"), "PNG"),
    "png palette": encoded(LARGE.convert("P"), "PNG"),
    "png turned": encoded(LARGE, "PNG", exif=EXIF),
    "webp": encoded(LARGE, "WEBP"),
    "gif": encoded(LARGE.convert("P"), "GIF"),
    "bmp": encoded(LARGE, "BMP"),
}
WHOLE = tuple(name for name in IMAGES if name not in ("gif", "bmp"))


@pytest.mark.parametrize("name", IMAGES)
def test_sizes_are_those_of_pil(name):
    assert header_size(IMAGES[name]) == image_files.header_size(IMAGES[name]) != (0, 0)


@settings(deadline=None)
@given(st.sampled_from(sorted(IMAGES)), st.data())
def test_sizes_of_damaged_headers_are_those_of_pil(name, data):
    """One to three bytes of the header changed, then cut anywhere: the same size or the same refusal."""
    damaged = bytearray(IMAGES[name])
    for _ in range(data.draw(st.integers(1, 3))):
        damaged[data.draw(st.integers(0, min(len(damaged), 700) - 1))] = data.draw(st.integers(0, 255))
    damaged = bytes(damaged[: data.draw(st.integers(0, len(damaged)))])
    assert header_size(damaged) == image_files.header_size(damaged)


def decodes(image: bytes) -> bool:
    try:
        with Image.open(io.BytesIO(image)) as opened:
            opened.load()
    except Exception:
        return False
    return True


@pytest.mark.parametrize("name", WHOLE)
def test_whole_files_are_whole_whatever_follows_them(name):
    for rest in (b"", b"\0" * 700, b"garbage \xff\xd8\xff\xe0", b"\xff\xd9" * 3):
        assert what_is_cut(IMAGES[name] + rest) == ""


@settings(deadline=None)
@given(st.sampled_from(WHOLE), st.data())
def test_a_file_cut_short_anywhere_is_found(name, data):
    image = IMAGES[name]
    cut = image[: data.draw(st.integers(0, len(image) - 1))]
    # bytes that no longer say what they are have no size either
    assert what_is_cut(cut) or header_size(cut) == (0, 0)


def test_a_checksum_of_a_png_is_checked():
    damaged = bytearray(IMAGES["png"])
    damaged[len(damaged) // 2] ^= 1
    assert "checksum of its chunk 'IDAT'" in what_is_cut(bytes(damaged))


def dropped(manifest, decode: bool) -> list[bool]:
    return [bool(detail) for detail in undecodable.explain(manifest, undecodable.Config(decode=decode))]


def test_structure_finds_the_planted_damage_that_decoding_finds(tmp_path):
    rng = np.random.default_rng(0)
    whole = [IMAGES[name] for name in IMAGES] * 2
    broken = [break_file(IMAGES[name], rng) for name in WHOLE for _ in range(30)]
    manifest = make_manifest(tmp_path, [*whole, *broken])
    by_structure, by_decoding = dropped(manifest, False), dropped(manifest, True)
    assert by_structure == by_decoding == [False] * len(whole) + [True] * len(broken)


@settings(deadline=None)
@given(st.sampled_from(WHOLE), st.integers(1, 10_000))
def test_no_cut_that_decoding_finds_is_missed(tmp_path_factory, name, missing):
    image = IMAGES[name]
    cut = image[: max(0, len(image) - missing)]
    manifest = make_manifest(tmp_path_factory.mktemp("cut"), [cut, image])
    assert dropped(manifest, False) == [True, False]
    assert decodes(cut) or dropped(manifest, True) == [True, False]


def test_both_refuse_what_states_too_many_pixels(tmp_path):
    bomb = bytearray(IMAGES["plain"])
    frame = bomb.index(b"\xff\xc0")
    bomb[frame + 5 : frame + 9] = b"\x27\x10\x27\x10"  # 10,000 x 10,000
    manifest = make_manifest(tmp_path, [bytes(bomb)])
    assert manifest.width.tolist() == [10_000]
    for decode in (False, True):
        (detail,) = undecodable.explain(manifest, undecodable.Config(decode=decode))
        assert "100000000 pixels, more than" in detail


def test_what_structure_does_not_see_is_what_its_docstring_says(tmp_path):
    """Pixels overwritten in place: the file is whole."""
    damaged = bytearray(IMAGES["large"])
    damaged[len(damaged) // 2 : len(damaged) // 2 + 40] = b"\x55" * 40
    manifest = make_manifest(tmp_path, [bytes(damaged)])
    assert bytes(damaged[:3]) == JPEG and dropped(manifest, False) == [False]


def test_a_file_that_has_gone_or_shrunk_is_undecodable(tmp_path):
    manifest = make_manifest(tmp_path, [IMAGES["plain"], IMAGES["png"]])
    (tmp_path / "images.bin").write_bytes((tmp_path / "images.bin").read_bytes()[:-9])
    assert dropped(manifest, False) == [False, True]
    (tmp_path / "images.bin").unlink()
    details = undecodable.explain(manifest, undecodable.Config(decode=False))
    assert all("cannot be opened" in detail for detail in details)
