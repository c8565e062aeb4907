import io
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from dalle.data.images import evaluation_crop, load_image
from dalle.data.manifest import BOX
from dalle.dvae.model import DVAE, DVAEConfig
from dalle.generation.encoding import encode_images, encode_views


class Mean(torch.nn.Module):
    """The code of a cell of 4 x 4 pixels is the red level of its corner."""

    config = SimpleNamespace(codebook_size=256, grid_size=4, image_size=16)

    def encode(self, images):
        return (images[:, 0, ::4, ::4] * 255).round().long()


class Coin(Mean):
    """Three codes a cell with the odds 1 : 2 : 5 in this order, in the other for cells whose corner is rather red."""

    config = SimpleNamespace(codebook_size=3, grid_size=4, image_size=16)
    odds = torch.tensor([1.0, 2.0, 5.0])

    def code_logits(self, images):
        red = images[:, 0, ::4, ::4, None] > 0.5
        return torch.where(red, self.odds.flip(0), self.odds).log().permute(0, 3, 1, 2)

    def encode(self, images):
        return self.code_logits(images).argmax(1)


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
        rows.append({"image_id": str(index), "file": str(path), "offset": 0, "num_bytes": len(buffer.getvalue()), **dict.fromkeys(BOX, 0)})
    return pd.DataFrame(rows)


def views(manifest, dvae=Mean(), **settings):
    values = {"num_views": 3, "codes": "argmax", "seed": 0, "batch_size": 8, "device": "cpu", "precision": "fp32", **settings}
    return encode_views(dvae, manifest, **values)


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


def test_sampled_codes_come_as_often_as_the_encoder_says():
    """Chi-square over 64,000 cells of either kind: two degrees of freedom, so 13.8 would be one time in a thousand."""
    images = np.random.default_rng(0).integers(0, 256, (8000, 16, 16, 3), dtype=np.uint8)
    uniform = np.random.default_rng(1).random((8000, 16))
    tokens = encode_images(Coin(), images, batch_size=500, device="cpu", precision="fp32", uniform=uniform)
    red = images[:, ::4, ::4, 0].reshape(8000, 16) > 127
    for cells, odds in ((tokens[~red], Coin.odds), (tokens[red], Coin.odds.flip(0))):
        expected = (odds / odds.sum()).numpy() * cells.size
        assert (((np.bincount(cells, minlength=3) - expected) ** 2) / expected).sum() < 13.8
    neighbours = np.corrcoef(tokens[:, 0], tokens[:, 1])[0, 1]
    assert abs(neighbours) < 0.04  # cells are drawn by themselves: 3.6 standard errors


def test_sampled_codes_of_a_real_encoder_follow_its_softmax():
    """10,000 draws of every cell of one image against the probabilities that the network gives them."""
    sizes = {"codebook_size": 5, "num_groups": 2, "blocks_per_group": 1, "hidden_width": 8, "codebook_width": 4}
    dvae = DVAE(DVAEConfig(image_size=8, post_gain=0.5, **sizes)).eval()
    image = np.random.default_rng(0).integers(0, 256, (1, 8, 8, 3), dtype=np.uint8)
    with torch.no_grad():
        logits = dvae.code_logits(torch.from_numpy(image).permute(0, 3, 1, 2).float() / 255)
    probabilities = logits.flatten(2).softmax(1)[0].double().numpy()  # (K, G*G)
    num_cells, draws = probabilities.shape[1], 10_000
    middles = (np.arange(draws)[:, None] + 0.5) / draws  # evenly spread numbers: frequencies are exact to two draws
    tokens = encode_images(
        dvae, image.repeat(draws, 0), batch_size=2500, device="cpu", precision="fp32", uniform=middles.repeat(num_cells, 1)
    )
    found = np.stack([np.bincount(tokens[:, cell], minlength=len(probabilities)) for cell in range(num_cells)], 1)
    np.testing.assert_allclose(found / draws, probabilities, atol=2.5e-4)


def test_a_draw_belongs_to_an_image_a_view_and_a_seed_and_nothing_else(manifest):
    tokens = views(manifest, Coin(), codes="sampled")
    np.testing.assert_array_equal(tokens[1], tokens[3])  # the same image under another caption
    np.testing.assert_array_equal(tokens, views(manifest, Coin(), codes="sampled"))
    np.testing.assert_array_equal(tokens, views(manifest, Coin(), codes="sampled", batch_size=1))
    np.testing.assert_array_equal(tokens[2:], views(manifest.iloc[2:], Coin(), codes="sampled"))
    np.testing.assert_array_equal(tokens[:, :2], views(manifest, Coin(), codes="sampled", num_views=2))
    argmax = views(manifest, Coin())
    for other in (views(manifest, Coin(), codes="sampled", seed=1), argmax):
        assert (tokens[:, 0] != other[:, 0]).any() and (tokens[:, 1] != other[:, 1]).any()
    certain = type("Certain", (Coin,), {"odds": torch.tensor([0.0, 0.0, 1.0])})()  # crops are the same for both kinds
    np.testing.assert_array_equal(views(manifest, certain, codes="sampled"), views(manifest, certain))


def test_the_number_of_threads_changes_no_bit_in_bf16(manifest):
    """24 images, each under two captions."""
    sizes = {"codebook_size": 512, "num_groups": 2, "blocks_per_group": 1, "hidden_width": 16, "codebook_width": 4}
    torch.manual_seed(0)
    dvae, threads = DVAE(DVAEConfig(image_size=16, post_gain=1.0, **sizes)), torch.get_num_threads()
    many = pd.concat([manifest.iloc[:3].assign(image_id=[f"{part}-{row}" for row in range(3)]) for part in range(8)] * 2)
    try:
        for num_threads in (1, 3):
            torch.set_num_threads(num_threads)
            found = [views(many, dvae, precision="bf16", batch_size=6) for _ in range(2)]
            for tokens in found:
                np.testing.assert_array_equal(tokens, found[0])
                np.testing.assert_array_equal(tokens[:24], tokens[24:])
            if num_threads == 1:
                alone = found[0]
    finally:
        torch.set_num_threads(threads)
    np.testing.assert_array_equal(found[0], alone)
    assert len(np.unique(alone)) > 20


def test_an_image_with_many_captions_is_read_once(manifest, monkeypatch):
    read = []
    monkeypatch.setattr("dalle.generation.encoding.load_image", lambda *place: read.append(place) or load_image(*place))
    tokens = views(pd.concat([manifest] * 5))
    assert len(read) == 3
    np.testing.assert_array_equal(tokens, np.tile(views(manifest), (5, 1, 1)))
