"""Sizes, whole files and pixels of odd but intact pictures beside PIL and imagesize; `make fuzz` tries twenty times as many."""

import io
import os
import struct

import imagesize
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from picture_structures import KINDS, chunk, exif, jpegs, opened, png, pngs, segment, xmp
from PIL import ImageOps
from small_pairs import encoded, picture

from dalle.data import image_files
from dalle.data.image_files import load_image
from dalle.data.image_headers import header_size, what_is_cut

FILES = int(os.environ.get("FUZZ_FILES", "1000"))
pytestmark = pytest.mark.filterwarnings("ignore:Corrupt EXIF")
fuzzed = settings(
    max_examples=FILES // 2, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture]
)


def loaded(data: bytes, folder) -> np.ndarray:
    (folder / "picture").write_bytes(data)
    return load_image(str(folder / "picture"), 0, len(data))


def require_agreement(data: bytes, folder) -> None:
    """Whatever PIL opens has the size that it has there, upright, and is not called cut."""
    image = opened(data)
    assert header_size(data) == image_files.header_size(data)
    if image is None:
        return
    assert what_is_cut(data) in ("", None)
    pixels = loaded(data, folder)
    assert header_size(data) == pixels.shape[1::-1]
    stored = imagesize.get(io.BytesIO(data), exif_rotation=False)
    assert stored in ((-1, -1), image.size)
    try:
        upright = ImageOps.exif_transpose(image)
    except Exception:  # metadata that PIL cannot read
        return
    assert header_size(data) == upright.size


@fuzzed
@given(jpegs())
def test_jpegs_of_odd_structure(tmp_path, data):
    require_agreement(data, tmp_path)


@fuzzed
@given(pngs())
def test_pngs_of_odd_structure(tmp_path, data):
    require_agreement(data, tmp_path)


JPEG = encoded(picture(0, 24, 16))
PROGRESSIVE = encoded(picture(0, 24, 16), progressive=True)
SECOND_SCAN = PROGRESSIVE.index(b"\xff\xda", PROGRESSIVE.index(b"\xff\xda") + 2)
TABLE, FRAME, SCAN = (JPEG.index(bytes([0xFF, kind])) for kind in (0xDB, 0xC0, 0xDA))


@pytest.mark.parametrize(
    "data",
    [
        JPEG[:TABLE] + b"\xff" + JPEG[TABLE:],
        JPEG[:FRAME] + b"\xff\xff\xff" + JPEG[FRAME:],
        JPEG[:SCAN] + b"\xff" + JPEG[SCAN:],
        JPEG[:TABLE] + b"\xff\x00\xff\x00" + JPEG[TABLE:],
        JPEG[:TABLE] + b"\x00\x12" + JPEG[TABLE:],
        JPEG[:-2] + b"\xff\xff" + JPEG[-2:],
        PROGRESSIVE[:SECOND_SCAN] + b"\xff\xff" + PROGRESSIVE[SECOND_SCAN:],
    ],
    ids=["before a table", "before the frame", "before the scan", "stray FF 00", "stray bytes", "before the end", "later scan"],
)
def test_bytes_that_decoders_pass_over_do_not_make_a_jpeg_cut(tmp_path, data):
    assert header_size(data) == (24, 16) == opened(data).size
    assert what_is_cut(data + b"behind") in ("", None)
    np.testing.assert_array_equal(loaded(data, tmp_path), np.asarray(opened(data)))


SAMPLES = np.random.default_rng(1).integers(0, 256, (16, 24, 3))


@pytest.mark.parametrize(
    "data",
    [
        JPEG[:2] + segment(0xE1, b"Exif\0\0" + exif(6, ">", 40)) + JPEG[2:],
        JPEG[:SCAN] + segment(0xE1, b"Exif\0\0" + exif(8)) + JPEG[SCAN:],
        JPEG[:TABLE] + segment(0xE1, b"http://ns.adobe.com/xap/1.0/\0" + xmp(6)) + JPEG[TABLE:],
        png(SAMPLES, 8, 2, before=chunk(b"eXIf", exif(5))),
        png(SAMPLES, 8, 2, after=chunk(b"eXIf", exif(6))),
        png(SAMPLES, 8, 2, after=chunk(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + xmp(7, True))),
        encoded(picture(0, 24, 16), "TIFF", tiffinfo={0x0112: 6}),
        encoded(picture(0, 24, 16), "WEBP", xmp=xmp(6)),
    ],
    ids=["far directory", "behind the tables", "XMP", "PNG", "PNG, behind its pixels", "PNG, XMP behind", "TIFF", "WebP, XMP"],
)
def test_orientation_is_found_wherever_it_is_said(tmp_path, data):
    upright = ImageOps.exif_transpose(opened(data))
    assert header_size(data) == upright.size == (16, 24)
    np.testing.assert_array_equal(loaded(data, tmp_path), np.asarray(upright.convert("RGB")))


def test_a_damaged_orientation_leaves_the_picture_as_it_is(tmp_path):
    data = png(SAMPLES, 8, 2, before=chunk(b"eXIf", b"no TIFF at all"))
    with pytest.raises(SyntaxError):
        ImageOps.exif_transpose(opened(data))
    assert header_size(data) == (24, 16)
    np.testing.assert_array_equal(loaded(data, tmp_path), SAMPLES)


@pytest.mark.parametrize(("depth", "colour", "channels"), KINDS)
def test_transparency_is_white_whatever_the_depth(tmp_path, depth, colour, channels):
    """Beside the PNG specification: samples scaled to 8 bits, the named colour or alpha over white."""
    samples = np.random.default_rng(2).integers(0, 2**depth, (16, 24, channels))
    most = 2**depth - 1
    if colour in (0, 2):
        clear = samples[3, 5]
        data = png(samples, depth, colour, before=chunk(b"tRNS", struct.pack(f">{channels}H", *clear)))
        alpha = np.where((samples == clear).all(axis=2), 0.0, 1.0)
    else:
        samples[3, 5, -1] = 0
        data, alpha = png(samples, depth, colour), samples[..., -1] / most
        samples = samples[..., :-1]
    colours = samples / most * 255
    expected = colours * alpha[..., None] + 255 * (1 - alpha[..., None])
    difference = np.abs(loaded(data, tmp_path) - np.broadcast_to(expected, (16, 24, 3)))
    assert difference.max() < 2.5  # of PIL's rounding, and of the lower 8 of 16 bits
    assert (alpha == 0).any()


def test_a_wrong_checksum_of_what_is_no_pixel_is_left_to_the_decoder():
    data = png(SAMPLES, 8, 2, after=chunk(b"vpAg", b"whatever", 1))
    assert opened(data) is not None and what_is_cut(data) is None
