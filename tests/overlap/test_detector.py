from dataclasses import replace

import numpy as np
import pytest
import torch
from copied_pictures import NETWORK, picture

from dalle.overlap.embedding import to_tensor
from dalle.overlap.model import Detector, load_detector
from dalle.training.model_folder import save_model


def test_unit_vectors_and_a_round_trip_through_the_folder(tmp_path):
    torch.manual_seed(0)
    detector = Detector(NETWORK).eval()
    images = torch.rand(3, 3, 16, 16)
    with torch.inference_mode():
        embeddings = detector(images)
        torch.testing.assert_close(embeddings.norm(dim=1), torch.ones(3))
        save_model(detector, NETWORK, tmp_path)
        again = load_detector(tmp_path)
        assert again.config == NETWORK and torch.equal(again(images), embeddings)


def test_where_things_are_is_kept():
    """The same content in another corner is further off than global pooling, which would see no difference, allows."""
    torch.manual_seed(0)
    detector = Detector(NETWORK).eval()
    image = np.full((16, 16, 3), 128, np.uint8)
    image[2:6, 2:6] = 255
    views = np.stack([image, np.roll(image, (8, 8), axis=(0, 1))])
    with torch.inference_mode():
        grids = detector.narrow(torch.nn.functional.silu(detector.trunk(to_tensor(views) * 2 - 1)))
        pooled = torch.nn.functional.normalize(grids.mean((2, 3)), dim=1)
        kept = detector(to_tensor(views))
    assert 1 - kept[0] @ kept[1] > 3 * (1 - pooled[0] @ pooled[1])


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"image_size": 18}, r"image_size \(18\) must be a multiple of 4: levels is 2"),
        ({"image_size": 0}, "image_size"),
        ({"width": 12}, "width must be a multiple of 8, got 12"),
        ({"levels": 0}, "levels must be at least 1"),
    ],
)
def test_sizes_that_do_not_fit_are_named(changes, words):
    with pytest.raises(ValueError, match=words):
        replace(NETWORK, **changes)


def test_pixels_to_numbers():
    image = np.asarray(picture(0))
    tensor = to_tensor(image[None, :, ::-1])
    assert tensor.shape == (1, 3, 48, 56)
    torch.testing.assert_close(tensor[0, 2, 5, 0] * 255, torch.tensor(float(image[5, -1, 2])))
