import io
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from dalle.data.images import evaluation_crop
from dalle.generation.encoding import encode_images, encode_views


class Mean(torch.nn.Module):
    """The code of a cell of 4 x 4 pixels is the red level of its corner."""

    config = SimpleNamespace(codebook_size=256, grid_size=4, image_size=16)

    def encode(self, images):
        return (images[:, 0, ::4, ::4] * 255).round().long()


@pytest.fixture
def manifest(tmp_path):
    """Three images of 40 x 24 pixels, one of them under two captions."""
    rows = []
    for index in (0, 1, 2, 1):
        pixels = np.random.default_rng(index).integers(0, 256, (6, 10, 3), dtype=np.uint8)
        buffer = io.BytesIO()
        Image.fromarray(pixels).resize((40, 24), Image.Resampling.BICUBIC).save(buffer, "PNG")
        path = tmp_path / f"{index}.png"
        path.write_bytes(buffer.getvalue())
        rows.append({"image_id": str(index), "file": str(path), "offset": 0, "num_bytes": len(buffer.getvalue())})
    return pd.DataFrame(rows)


def views(manifest, **settings):
    values = {"num_views": 3, "seed": 0, "batch_size": 8, "device": "cpu", "precision": "fp32", **settings}
    return encode_views(Mean(), manifest, **values)


def test_raster_order_in_any_batches():
    images = np.random.default_rng(0).integers(0, 256, (5, 16, 16, 3), dtype=np.uint8)
    for batch_size in (1, 2, 8):
        tokens = encode_images(Mean(), images, batch_size=batch_size, device="cpu", precision="fp32")
        np.testing.assert_array_equal(tokens, images[:, ::4, ::4, 0].reshape(5, 16))
        assert tokens.dtype == np.uint16


def test_the_first_view_is_the_evaluation_crop(manifest):
    tokens = views(manifest)
    for row, file in enumerate(manifest["file"]):
        crop = evaluation_crop(np.asarray(Image.open(file)), 16)
        np.testing.assert_array_equal(tokens[row, 0], crop[::4, ::4, 0].ravel())


def test_views_belong_to_an_image_and_a_seed_and_nothing_else(manifest):
    tokens = views(manifest)
    np.testing.assert_array_equal(tokens[1], tokens[3])  # the same image under another caption
    np.testing.assert_array_equal(tokens, views(manifest, batch_size=1))
    np.testing.assert_array_equal(tokens[2:], views(manifest.iloc[2:]))
    np.testing.assert_array_equal(tokens[:, :2], views(manifest, num_views=2))
    assert (tokens[:, 1:] != views(manifest, seed=1)[:, 1:]).any()
    assert (tokens[:, 1] != tokens[:, 2]).any()
