import io

import numpy as np
import pytest
from copied_pictures import picture
from PIL import Image

from dalle.overlap.copies import altered_copy, squeezed


def generator(seed):
    return np.random.default_rng(seed)


@pytest.mark.parametrize("seed", range(30))
def test_a_copy_is_a_function_of_the_generator_in_range_and_like_its_picture(seed):
    image = np.asarray(picture(seed))
    copy = altered_copy(image, 24, generator(seed))
    assert copy.dtype == np.uint8 and copy.shape == (24, 24, 3)
    np.testing.assert_array_equal(copy, altered_copy(image, 24, generator(seed)))
    assert not np.array_equal(copy, altered_copy(image, 24, generator(seed + 1000)))
    others = [squeezed(np.asarray(picture(other)), 24) for other in range(seed + 1, seed + 6)]
    alike = [np.corrcoef(copy.ravel(), view.ravel())[0, 1] for view in (squeezed(image, 24), *others)]
    assert int(np.argmax(alike)) == 0


def test_every_part_of_a_picture_is_sometimes_cut_and_copies_are_never_mirrored():
    left_to_right = np.tile(np.linspace(0, 255, 60)[None, :, None], (60, 1, 3)).astype(np.uint8)
    copies = np.stack([altered_copy(left_to_right, 20, generator(seed)) for seed in range(200)]).astype(float)
    assert (copies[:, :, -4:].mean((1, 2, 3)) > copies[:, :, :4].mean((1, 2, 3))).all()
    flat = [altered_copy(np.full((60, 60, 3), 128, np.uint8), 20, generator(seed)) for seed in range(200)]
    pasted = np.mean([np.asarray(copy, float).std(axis=(0, 1)).max() > 3 for copy in flat])
    assert 0.15 < pasted < 0.45  # a word or a plate in three of ten


def test_the_whole_picture_is_squeezed():
    wide = np.zeros((20, 60, 3), np.uint8)
    wide[:, :20], wide[:, 40:] = (255, 0, 0), (0, 0, 255)
    small = squeezed(wide, 6)
    assert small.shape == (6, 6, 3)
    np.testing.assert_array_equal(small[:, 0], [(255, 0, 0)] * 6)
    np.testing.assert_array_equal(small[:, -1], [(0, 0, 255)] * 6)


def test_jpeg_s_blocks_are_left_in_copies():
    """Saved and opened again by hand, a copy of a noisy picture loses little more: it has been through a JPEG already."""
    noisy = generator(0).integers(0, 256, (40, 40, 3), dtype=np.uint8)
    buffer = io.BytesIO()
    copy = altered_copy(noisy, 40, generator(3))
    Image.fromarray(copy).save(buffer, "JPEG", quality=95)
    again = np.asarray(Image.open(buffer), float)
    Image.fromarray(noisy).save(fresh := io.BytesIO(), "JPEG", quality=95)
    assert np.abs(again - copy).mean() < 0.5 * np.abs(np.asarray(Image.open(fresh), float) - noisy).mean()
