import numpy as np
import pytest
from PIL import Image, ImageFilter

from dalle.evaluation.blur import blur, scaled_radius


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


@pytest.mark.parametrize("kind", ["pil", "gaussian"])
def test_radius_zero_is_the_identity_and_more_is_smoother(images, kind):
    np.testing.assert_array_equal(blur(images, kind, 0), images)
    deviations = [blur(images, kind, radius).std() for radius in (0, 0.25, 0.5, 1, 2, 4)]
    assert deviations == sorted(deviations, reverse=True)
    assert deviations[0] > 4 * deviations[-1]


@pytest.mark.parametrize("kind", ["pil", "gaussian"])
def test_the_radius_is_the_standard_deviation(kind):
    column = np.zeros((1, 65, 65, 3), np.uint8)
    column[:, :, 32] = 255
    assert spread(blur(column, kind, 3.0)[0]) == pytest.approx(3.0, rel=0.05)


@pytest.mark.parametrize("kind", ["pil", "gaussian"])
def test_a_flat_picture_stays_flat_up_to_its_edges(kind):
    flat = np.full((1, 16, 16, 3), (10, 120, 255), np.uint8)
    np.testing.assert_array_equal(blur(flat, kind, 4), flat)


def test_radii_scale_with_the_picture():
    assert [scaled_radius(radius, 64, 256) for radius in (0, 1, 2, 4, 8)] == [0, 0.25, 0.5, 1, 2]
    assert scaled_radius(3, 64, 64) == 3


def test_names_the_known_kinds(images):
    with pytest.raises(ValueError, match="blur_kind: 'box' is not known; known: gaussian, pil"):
        blur(images, "box", 1)
    with pytest.raises(ValueError, match="at least 0, got -1"):
        blur(images, "pil", -1)
