from types import SimpleNamespace

import numpy as np
import pandas as pd
import torch

from dalle.dvae.model import DVAE, DVAEConfig
from dalle.evaluation.memorisation import nearest_training_images
from dalle.generation.code_colours import code_colours, colours_of, training_colours, training_rows
from dalle.generation.encoding import encode_images


class Palette(torch.nn.Module):
    """64 codes, 4 levels a colour; a code paints its cell of 2 x 2 pixels, and a cell at the border is darker."""

    config = SimpleNamespace(codebook_size=64, grid_size=8, image_size=16, downsampling=2)

    def decode(self, codes):
        levels = torch.stack([codes // 16, codes // 4 % 4, codes % 4], 1) / 3
        images = levels.repeat_interleave(2, 2).repeat_interleave(2, 3)
        images[:, :, [0, -1]] *= 0.5
        return images

    def encode(self, images):
        levels = (torch.nn.functional.avg_pool2d(images, 2) * 3).round().long()
        return levels[:, 0] * 16 + levels[:, 1] * 4 + levels[:, 2]


def test_a_code_has_the_colour_it_paints_among_its_like():
    colours = code_colours(Palette(), "cpu")
    assert colours.dtype == np.float32
    np.testing.assert_allclose(colours[[0, 3, 16 + 4 * 2, 63]] * 3, [[0, 0, 0], [0, 0, 3], [1, 2, 0], [3, 3, 3]], atol=1e-6)


def test_a_real_dvae_has_as_many_colours_as_codes():
    sizes = {"codebook_size": 700, "num_groups": 3, "blocks_per_group": 1, "hidden_width": 8, "codebook_width": 4}
    dvae = DVAE(DVAEConfig(image_size=16, post_gain=0.5, **sizes))
    colours = code_colours(dvae, "cpu")
    assert colours.shape == (700, 3) and colours.min() >= 0 and colours.max() <= 1
    with torch.no_grad():
        painted = dvae.decode(torch.full((1, 3, 3), 650))[0, :, 4:8, 4:8].mean((1, 2))
    np.testing.assert_allclose(colours[650], painted, atol=1e-5)


def test_every_training_image_is_searched_once_in_all_its_views():
    pairs = pd.DataFrame({"image_id": list("aabbcd"), "split": ["train"] * 4 + ["valid", "train"]})
    tokens = np.arange(6 * 2 * 4, dtype=np.uint16).reshape(6, 2, 4)
    store = SimpleNamespace(pairs=pairs, image_tokens=tokens)
    rows = training_rows(store)
    assert rows.tolist() == [0, 2, 5]
    colours = np.random.default_rng(0).random((48, 3), dtype=np.float32)
    (block,) = training_colours(store, rows, colours)
    assert block.shape == (3, 2, 12)
    np.testing.assert_array_equal(block[1, 1, 3:6], colours[tokens[2, 1, 1]])
    np.testing.assert_array_equal(colours_of(tokens[2], colours), block[1])


def test_planted_copies_of_any_stored_view_are_found_through_the_pixels():
    """As in the evaluation: pictures are encoded again, a copy with noise, and strangers that were drawn alike."""
    rng = np.random.default_rng(0)

    def pictures(num):
        """Five broad stripes of random colours, so that pictures are more alike than noise is."""
        return rng.integers(0, 256, (num, 4, 1, 3), dtype=np.uint8).repeat(4, 1).repeat(16, 2)

    views = np.stack([encode(pictures(400)) for _ in range(2)], 1)
    pairs = pd.DataFrame({"image_id": [str(number) for number in range(400)], "split": "train"})
    store, colours = SimpleNamespace(pairs=pairs, image_tokens=views), code_colours(Palette(), "cpu")
    copied, view = rng.choice(400, 60, replace=False), rng.integers(0, 2, 60)
    decoded = Palette().decode(torch.from_numpy(views[copied, view].astype(np.int64)).view(-1, 8, 8)).permute(0, 2, 3, 1)
    noisy = (decoded.numpy() * 255 + rng.normal(0, 12, decoded.shape)).clip(0, 255).astype(np.uint8)
    queries = colours_of(encode(np.concatenate([noisy, pictures(60)])), colours)
    found = nearest_training_images(queries, training_colours(store, training_rows(store), colours))
    np.testing.assert_array_equal(found.index[:60], copied)
    assert found.copies[:60].all() and not found.copies[60:].any()


def encode(images):
    return encode_images(Palette(), images, batch_size=64, device="cpu", precision="fp32")
