import numpy as np
import pytest
from PIL import Image, ImageFilter

from dalle.evaluation.blur import KINDS, blur, filter_of, scaled_radius


@pytest.fixture
def images(rng):
    return rng.integers(0, 256, (2, 48, 48, 3), dtype=np.uint8)


def spread(image):
    """Standard deviation of the brightness around the centre of a picture with one bright pixel, along one axis."""
    profile = image[..., 0].astype(float).sum(axis=0)
    positions = np.arange(len(profile))
    mean = (profile * positions).sum() / profile.sum()
    return np.sqrt((profile * (positions - mean) ** 2).sum() / profile.sum())


def test_is_pillows_filter(images):
    expected = [np.asarray(Image.fromarray(image).filter(ImageFilter.GaussianBlur(1.5))) for image in images]
    np.testing.assert_array_equal(blur(images, "pil", 1.5), expected)


@pytest.mark.parametrize("kind", ["pil", "gaussian", "lafite"])
def test_radius_zero_is_the_identity_and_more_is_smoother(images, kind):
    np.testing.assert_array_equal(blur(images, kind, 0), images)
    deviations = [blur(images, kind, radius).std() for radius in (0, 0.25, 0.5, 1, 2, 4)]
    assert deviations == sorted(deviations, reverse=True)
    assert deviations[0] > 3 * deviations[-1]


@pytest.mark.parametrize("kind", ["pil", "gaussian"])
def test_the_radius_is_the_standard_deviation(kind):
    column = np.zeros((1, 65, 65, 3), np.uint8)
    column[:, :, 32] = 255
    assert spread(blur(column, kind, 3.0)[0]) == pytest.approx(3.0, rel=0.05)


@pytest.mark.parametrize("kind", ["pil", "gaussian", "lafite"])
def test_a_flat_picture_stays_flat_up_to_its_edges(kind):
    flat = np.full((1, 16, 16, 3), (10, 120, 255), np.uint8)
    np.testing.assert_array_equal(blur(flat, kind, 4), flat)


@pytest.mark.parametrize(("radius", "deviation"), [(1, 0.816), (2, 1.414), (4, 2.582), (8, 4.899)])
def test_lafites_radius_is_a_kernel_of_2k_plus_1_taps(radius, deviation):
    """Its author's numbers, and the kernel written out; edges mirror without repeating the edge."""
    assert np.sqrt(((2 * radius + 1) ** 2 - 1) / 12) == pytest.approx(deviation, abs=1e-3)
    taps = np.exp(-(np.arange(-radius, radius + 1) ** 2) / 2 / deviation**2)
    row = np.random.default_rng(0).integers(0, 256, 33).astype(np.uint8)
    expected = np.convolve(np.pad(row.astype(float), radius, mode="reflect"), taps / taps.sum(), mode="valid")
    stripes = np.broadcast_to(row[None, :, None], (33, 33, 3))
    np.testing.assert_allclose(blur(stripes[None], "lafite", radius)[0, 16, :, 0], expected, atol=0.51)


def test_gaussian_is_scipys_definition(images):
    """Weights exp(-x^2 / 2 r^2) up to four standard deviations, edge pixels repeated, once along each axis."""
    positions = np.arange(-6, 7)
    taps = np.exp(-(positions**2) / 2 / 1.5**2)
    padded = np.pad(images[0].astype(float), ((6, 6), (6, 6), (0, 0)), mode="edge")
    for axis in (0, 1):
        padded = np.apply_along_axis(lambda line: np.convolve(line, taps / taps.sum(), mode="valid"), axis, padded)
    np.testing.assert_allclose(blur(images[:1], "gaussian", 1.5)[0], padded, atol=0.501)


def test_one_kind_blurs_both_sides_another_the_originals_alone():
    sides = {kind: (filter_of(kind, is_reference=True), filter_of(kind, is_reference=False)) for kind in KINDS}
    assert sides["pil"] == ("pil", "pil") and sides["lafite"] == ("lafite", "lafite")
    assert sides["lafite_originals_only"] == ("lafite", None) and len(sides) == 6


def test_radii_scale_with_the_picture():
    assert [scaled_radius(radius, 64, 256) for radius in (0, 1, 2, 4, 8)] == [0, 0.25, 0.5, 1, 2]
    assert scaled_radius(3, 64, 64) == 3


def test_names_the_known_kinds(images):
    with pytest.raises(ValueError, match="blur_kind: 'box' is not known; known: gaussian, lafite, pil"):
        blur(images, "box", 1)
    with pytest.raises(ValueError, match="at least 0, got -1"):
        blur(images, "pil", -1)
