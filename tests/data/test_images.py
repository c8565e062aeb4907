import io
import struct
import zlib
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import numpy as np
import pytest
import torch
from PIL import Image
from scipy.stats import chisquare
from small_pairs import encoded, make_manifest, picture
from torch.nn import functional as F

from dalle.data import image_files
from dalle.data.images import (
    ImageBatches,
    dvae_crop,
    evaluation_crop,
    load_evaluation_images,
    load_image,
    prior_crop,
)
from dalle.randomness import batch_indices


class Recorder:
    """A random generator that keeps which integer ranges it was asked for, and answers with their lower or upper ends."""

    def __init__(self, upper: bool) -> None:
        self.upper, self.ranges = upper, []

    def integers(self, low, high=None):
        low, high = (0, low) if high is None else (low, high)
        self.ranges.append((low, high - 1))
        return high - 1 if self.upper else low

    def random(self):
        return 0.9


def load(tmp_path, data: bytes) -> np.ndarray:
    (tmp_path / "one").write_bytes(b"xx" + data + b"yy")
    return load_image(str(tmp_path / "one"), 2, len(data))


def sized(height, width):
    return np.zeros((height, width, 3), np.uint8)


def test_png_comes_back_exactly_from_the_middle_of_a_file(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (9, 13, 3), dtype=np.uint8)
    assert np.array_equal(load(tmp_path, encoded(Image.fromarray(pixels), "PNG")), pixels)


@pytest.mark.parametrize("mode", ["L", "CMYK", "1", "P", "LA", "RGBA"])
def test_every_mode_becomes_rgb(tmp_path, mode):
    source = picture(1).convert(mode)
    loaded = load(tmp_path, encoded(source, "JPEG" if mode == "CMYK" else "PNG"))
    assert loaded.shape == (40, 48, 3) and loaded.dtype == np.uint8
    expected = np.asarray(source.convert("RGB")).astype(int)
    assert np.abs(loaded - expected).mean() < (6 if mode == "CMYK" else 0.01)


def test_sixteen_bit_greyscale_is_scaled_not_clipped(tmp_path):
    ramp = np.linspace(0, 65535, 64).astype(np.uint16).reshape(8, 8)
    loaded = load(tmp_path, encoded(Image.fromarray(ramp), "PNG"))
    assert np.abs(loaded[..., 0] - ramp / 257).max() < 1


def test_transparency_lies_on_white(tmp_path):
    values = np.zeros((4, 4, 4), np.uint8)
    values[:2, :, 3] = 255
    values[3, :, 3] = 128
    loaded = load(tmp_path, encoded(Image.fromarray(values), "PNG"))
    assert (loaded[:2] == 0).all() and (loaded[2] == 255).all() and np.abs(loaded[3].astype(int) - 127).max() <= 1
    palette = Image.fromarray(np.array([[0, 1]], np.uint8))
    palette.putpalette([10, 20, 30, 40, 50, 60])
    assert load(tmp_path, encoded(palette.convert("P"), "PNG", transparency=1)).tolist()[0][1] == [255, 255, 255]


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_undone_and_the_header_agrees(tmp_path, orientation):
    upright = picture(2, 32, 16)
    # how a camera that was held this way would have stored the picture
    undo = {2: 0, 3: 3, 4: 1, 5: 5, 6: 2, 7: 6, 8: 4}
    stored = upright.transpose(Image.Transpose(undo[orientation])) if orientation > 1 else upright
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = encoded(stored, "PNG", exif=exif)
    assert np.array_equal(load(tmp_path, data), np.asarray(upright))
    assert image_files.header_size(data) == (32, 16)
    assert image_files.header_size(encoded(stored, "JPEG", exif=exif)) == (32, 16)


@pytest.mark.parametrize(
    "data",
    [b"", b"<html></html>", encoded(picture(3))[:-300], encoded(picture(3), "PNG")[:-200], b"\x89PNG\r\n\x1a\n" + b"\0" * 50],
    ids=["empty", "html", "cut jpeg", "cut png", "png header only"],
)
def test_what_cannot_be_decoded_is_an_error_naming_the_file(tmp_path, data):
    with pytest.raises(ValueError, match=f"{tmp_path}/one"):
        load(tmp_path, data)


def png_header(width: int, height: int) -> bytes:
    """A PNG that promises a picture of this size and holds none of it."""
    chunk = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    checksum = struct.pack(">I", zlib.crc32(chunk))
    return b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + chunk + checksum + struct.pack(">I", 9) + b"IDAT"


def test_too_many_pixels_are_refused_before_they_are_decoded(tmp_path):
    assert image_files.header_size(png_header(8000, 8000)) == (8000, 8000)
    with pytest.raises(ValueError, match="one .*: cannot be decoded"):
        load(tmp_path, png_header(8000, 8000))
    with pytest.raises(ValueError, match="one .*: 81000000 pixels, more than the 67108864"):
        load(tmp_path, png_header(9000, 9000))
    # beyond PIL's own limit not even the header opens
    assert image_files.header_size(png_header(40_000, 40_000)) == (0, 0)
    with pytest.raises(ValueError, match="one .*decompression bomb"):
        load(tmp_path, png_header(40_000, 40_000))


def test_a_file_that_shrank_is_named(tmp_path):
    with pytest.raises(ValueError, match="short: ends before byte 30"):
        (tmp_path / "short").write_bytes(b"x" * 20)
        load_image(str(tmp_path / "short"), 10, 20)
    with pytest.raises(ValueError, match="gone: cannot be opened"):
        load_image(str(tmp_path / "gone"), 0, 1)


@pytest.mark.parametrize(
    ("height", "width", "scales"),
    [(500, 700, (288, 384)), (300, 700, (288, 300)), (270, 256, (256, 256)), (600, 288, (288, 288)), (100, 80, (256, 256))],
)
def test_listing_1_draws_from_the_ranges_of_the_paper(height, width, scales):
    side = min(height, width)
    for upper in (False, True):
        rng = Recorder(upper)
        assert dvae_crop(sized(height, width), 256, rng, flip=True).shape == (256, 256, 3)
        scale = scales[int(upper)]
        assert rng.ranges == [(0, height - side), (0, width - side), scales, (0, scale - 256), (0, scale - 256)]


@pytest.mark.parametrize(
    ("height", "width", "offsets", "scales"),
    [
        (500, 700, [(0, 0), (75, 124)], (256, 288)),
        (600, 300, [(112, 186), (0, 0)], (256, 288)),
        (270, 272, [(0, 0), (0, 0)], (256, 270)),
        (256, 256, [(0, 0), (0, 0)], (256, 256)),
        (80, 100, [(0, 0), (7, 11)], (256, 256)),
    ],
)
def test_listing_2_draws_from_the_ranges_of_the_paper(height, width, offsets, scales):
    for upper in (False, True):
        rng = Recorder(upper)
        assert prior_crop(sized(height, width), 256, rng).shape == (256, 256, 3)
        scale = scales[int(upper)]
        assert rng.ranges == [*offsets, scales, (0, scale - 256), (0, scale - 256)]


def test_crops_show_the_part_of_the_image_they_drew():
    y, x = np.mgrid[0:64, 0:96]
    image = np.stack([y, x, np.zeros_like(x)], axis=2).astype(np.uint8)
    rng = Recorder(upper=True)  # square at column 32, scaled 64 -> 48, crop at the far corner
    crop = dvae_crop(image, 32, rng, flip=False).astype(int)
    square = torch.from_numpy(image[:, 32:]).permute(2, 0, 1)[None].float()
    expected = F.interpolate(square, size=(48, 48), mode="area")[0, :, 16:, 16:].permute(1, 2, 0)
    assert np.abs(crop - expected.numpy()).max() <= 1
    rng.random = lambda: 0.1
    assert np.array_equal(dvae_crop(image, 32, rng, flip=True)[:, ::-1], crop)
    assert np.array_equal(dvae_crop(image, 32, rng, flip=False), crop)


def test_whole_number_ratios_are_block_means():
    image = np.random.default_rng(0).integers(0, 256, (96, 96, 3), dtype=np.uint8)
    rng = Recorder(upper=True)  # t = 48 of 96
    # PIL rounds twice, once for each axis
    means = image.reshape(48, 2, 48, 2, 3).mean((1, 3))
    assert np.abs(dvae_crop(image, 32, rng, flip=False) - means[16:, 16:]).max() <= 1


def test_mirroring_happens_half_the_time_and_never_for_the_prior():
    ramp = np.repeat(np.arange(40, dtype=np.uint8)[None, :, None], 40, 0).repeat(3, 2)

    def num_mirrored(crop):
        crops = [crop(ramp, 16, np.random.default_rng(seed)) for seed in range(400)]
        return sum(bool(image[0, 0, 0] > image[0, -1, 0]) for image in crops)

    assert 150 < num_mirrored(partial(dvae_crop, flip=True)) < 250
    assert num_mirrored(partial(dvae_crop, flip=False)) == num_mirrored(prior_crop) == 0


@pytest.mark.parametrize(("height", "width"), [(40, 61), (61, 40), (20, 20), (11, 90)])
def test_evaluation_crop_is_the_middle(height, width):
    y, x = np.mgrid[0:height, 0:width]
    image = np.stack([2 * y, 2 * x, np.full_like(x, 7)], axis=2).astype(np.uint8)
    crop = evaluation_crop(image, 20)
    assert crop.shape == (20, 20, 3) and (crop[..., 2] == 7).all()
    # the mean of a linear ramp over a centred window is its value at the centre, up to half a pixel
    pixel = min(height, width) / 20
    assert abs(crop[..., 0].mean() - (height - 1)) <= pixel + 1
    assert abs(crop[..., 1].mean() - (width - 1)) <= pixel + 1


def test_batches_are_a_function_of_the_step_whatever_cache_threads_and_order(manifest):
    plain = ImageBatches(manifest, 16, dvae_crop, 4, 9, cache_bytes=0)
    expected = [plain(step) for step in range(8)]
    assert expected[0].shape == (4, 3, 16, 16) and expected[0].dtype == torch.float32
    assert 0 <= float(expected[0].min()) and float(expected[0].max()) <= 1
    assert plain._cache == {}
    for cache_bytes in (2 * 40 * 48 * 3, 10**9):
        batches = ImageBatches(manifest, 16, dvae_crop, 4, 9, cache_bytes=cache_bytes)
        with ThreadPoolExecutor(4) as pool:
            found = dict(zip(range(7, -1, -1), pool.map(batches, range(7, -1, -1)), strict=True))
        assert all(torch.equal(found[step], expected[step]) for step in range(8))
        assert sum(image.nbytes for image in batches._cache.values()) <= cache_bytes and batches._cache
    assert not torch.equal(ImageBatches(manifest, 16, dvae_crop, 4, 10)(0), expected[0])


def test_batches_hold_the_rows_that_indices_names(manifest):
    def first_pixel(image, size, rng):
        return np.broadcast_to(image[:1, :1], (size, size, 3))

    batches = ImageBatches(manifest, 2, first_pixel, 5, 1)
    for step in (0, 3):
        assert np.array_equal(batches.indices(step), batch_indices(step, batch_size=5, num_items=6, seed=1))
        rows = manifest.iloc[batches.indices(step)]
        pixels = [load_image(row.file, row.offset, row.num_bytes)[0, 0] / 255 for row in rows.itertuples()]
        assert np.allclose(batches(step)[:, :, 1, 1].numpy(), pixels)


def test_crops_differ_from_step_to_step(tmp_path):
    one = make_manifest(tmp_path, [encoded(picture(0, 90, 90), "PNG")])
    batches = ImageBatches(one, 16, partial(dvae_crop, flip=False), 2, 0)
    images = torch.cat([batches(step) for step in range(10)])
    assert len(torch.unique(images, dim=0)) > 12


def test_evaluation_images_come_in_the_order_of_the_rows(manifest):
    images = load_evaluation_images(manifest, 24)
    assert images.shape == (6, 24, 24, 3) and images.dtype == np.uint8
    for row, image in zip(manifest[::-1].itertuples(), load_evaluation_images(manifest[::-1], 24), strict=True):
        assert np.array_equal(image, images[row.Index])
        with open(row.file, "rb") as file:
            data = file.read()[row.offset : row.offset + row.num_bytes]
        assert np.array_equal(image, evaluation_crop(np.asarray(Image.open(io.BytesIO(data))), 24))


def test_no_images_is_an_error(manifest):
    with pytest.raises(ValueError, match="no rows"):
        ImageBatches(manifest[:0], 16, dvae_crop, 4, 0)


def test_dvae_crop_at_scale_one_is_the_picture_or_its_mirror():
    image = np.random.default_rng(0).integers(0, 256, (48, 48, 3), dtype=np.uint8)
    crops = {dvae_crop(image, 48, np.random.default_rng(seed), scale=(1.0, 1.0)).tobytes() for seed in range(20)}
    assert crops == {image.tobytes(), np.ascontiguousarray(image[:, ::-1]).tobytes()}


def test_ten_thousand_draws_of_listing_1_cover_its_ranges_evenly_and_nothing_else():
    """Measured in crops of a ramp: the scale by its slope, the position by its middle, mirroring by the slope's sign."""
    size, height, width, rng = 48, 288, 360, np.random.default_rng(0)
    rows, columns = np.mgrid[:height, :width]
    ramp = np.stack([0.8 * rows, 0.7 * columns, 0 * rows], axis=2).astype(np.uint8)
    crops = [dvae_crop(ramp, size, rng) for _ in range(10_000)]
    rows = np.stack([crop[..., 0].mean(1) / 0.8 for crop in crops])  # of the picture, that each row and column shows
    columns = np.stack([crop[..., 1].mean(0) / 0.7 for crop in crops])
    places = np.arange(size) - (size - 1) / 2
    slopes = columns @ places / (places @ places)
    sides = height / np.abs(slopes)
    scales = np.round(sides).astype(int)
    assert set(scales) == set(range(54, 73)) and np.abs(sides - scales).max() < 0.45  # 9/8 to 12/8 of 48, both included
    assert chisquare(np.bincount(scales)[54:]).pvalue > 1e-3
    assert abs((slopes < 0).mean() - 0.5) < 0.02
    assert (rows[:, -1] > rows[:, 0]).all()  # never upside down
    reach = size * height / scales / 2  # from the middle of a crop to its edge, in pixels of the picture
    for middle, end in ((rows.mean(1), height), (columns.mean(1), width)):
        assert (middle - reach).min() == pytest.approx(0, abs=3) and (middle + reach).max() == pytest.approx(end, abs=3)
        assert middle.mean() == pytest.approx(end / 2, abs=1.5)
