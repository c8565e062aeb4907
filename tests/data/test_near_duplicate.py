"""Perceptual hashes that are near each other, found by bands and by comparing everything."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from small_pairs import encoded, make_manifest, picture

from dalle.data.filtering.parts import Parts
from dalle.data.filtering.rules import near_duplicate
from dalle.data.filtering.rules.near_duplicate import close_pairs, nearest_kept
from dalle.data.manifest import write_manifest
from dalle.processes import Processes


def hashes_near_each_other(seed: int, number: int) -> np.ndarray:
    """Random hashes and copies of them with a few bits turned."""
    rng = np.random.default_rng(seed)
    hashes = rng.integers(0, 2**63, number, dtype=np.uint64)
    for copy in range(max(1, number // 2), number):
        original = hashes[rng.integers(copy)]
        for bit in rng.integers(0, 64, rng.integers(0, 8)):
            original ^= np.uint64(1) << np.uint64(bit)
        hashes[copy] = original
    return hashes


def textured(seed: int) -> Image.Image:
    """A picture with something in all the frequencies that are compared."""
    values = np.random.default_rng(seed).integers(0, 256, (12, 15, 3), dtype=np.uint8)
    return Image.fromarray(values).resize((200, 160), Image.Resampling.BICUBIC)


def first_kept(hashes: np.ndarray, max_distance: int) -> list[int]:
    """Every hash against every kept one before it."""
    kept: list[int] = []
    found = []
    for index, one in enumerate(hashes.tolist()):
        near = [other for other in kept if (one ^ int(hashes[other])).bit_count() <= max_distance]
        found.append(near[0] if near else index)
        if not near:
            kept.append(index)
    return found


@given(st.integers(0, 2**32), st.integers(1, 60), st.integers(0, 15))
def test_bands_miss_nothing_and_the_first_is_kept(seed, number, max_distance):
    hashes = hashes_near_each_other(seed, number)
    assert nearest_kept(hashes, max_distance).tolist() == first_kept(hashes, max_distance)


def test_pairs_are_all_of_those_within_the_distance():
    hashes = np.unique(hashes_near_each_other(1, 300))
    near = np.bitwise_count(hashes[:, None] ^ hashes) <= 6
    expected = np.argwhere(np.tril(near, -1))[:, ::-1]
    np.testing.assert_array_equal(close_pairs(hashes, 6), expected)
    assert 50 < len(expected) < 30_000


@pytest.fixture
def explained(tmp_path):
    def explain(images, max_distance=4, **columns):
        manifest = make_manifest(tmp_path, images).assign(**columns)
        write_manifest(manifest, tmp_path / "pairs.parquet")
        parts = Parts(tmp_path / "pairs.parquet", tmp_path / f"work-{len(list(tmp_path.iterdir()))}", processes=Processes(1))
        config = near_duplicate.Config(max_distance=max_distance)
        return [detail for part in near_duplicate.explain_all(parts, config) for detail in part]

    return explain


def test_new_encodings_scales_and_light_are_near_and_other_pictures_are_not(explained):
    original = textured(0)
    again = [
        encoded(original, quality=30),
        encoded(original.resize((120, 96)), "PNG"),
        encoded(original.convert("L")),
        encoded(Image.fromarray((np.asarray(original) * 0.8).astype(np.uint8))),
    ]
    others = [encoded(textured(seed)) for seed in range(1, 30)]
    details = explained([encoded(original), *others, *again])
    assert details[-4:] == ["looks like p0000"] * 4 and not any(details[:-4])


def test_captions_of_one_image_stay_together_and_flat_pictures_are_kept(explained):
    image, flat = encoded(picture(0)), [encoded(Image.new("RGB", (40, 40), colour)) for colour in ("red", "blue")]
    images = [image, image, image, *flat, b"not an image"]
    details = explained(images, image_id=["a", "a", "b", "red", "blue", "none"])
    assert details == ["", "", "looks like p0000", "", "", ""]
    assert isinstance(details, list) and pd.Series(details).ne("").sum() == 1
