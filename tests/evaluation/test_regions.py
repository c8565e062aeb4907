import numpy as np
import pytest
from PIL import Image

from dalle.data.images import evaluation_crop
from dalle.data.manifest import manifest_from_rows
from dalle.evaluation import regions as regions_module
from dalle.evaluation.regions import RegionExtractor, region_features


@pytest.fixture(scope="module")
def extractor():
    return RegionExtractor("cpu")


@pytest.fixture
def images(rng):
    return rng.integers(0, 256, (6, 48, 48, 3), dtype=np.uint8)


def test_the_whole_is_what_the_last_convolution_makes_of_the_regions(extractor, lite0, images):
    regions, whole = extractor(images)
    assert (regions.shape, whole.shape) == ((6, 49, 320), (6, 1280))
    np.testing.assert_array_equal(whole, lite0(images)[0])
    conv = extractor.network.conv_head
    widened = regions @ conv.weight[:, :, 0, 0].detach().numpy().T + conv.bias.detach().numpy()
    np.testing.assert_allclose(widened.clip(0, 6).mean(axis=1), whole, atol=1e-4)


def test_regions_are_read_row_by_row(extractor, images):
    changed = images.copy()
    changed[:, :12, -12:] = 255 - changed[:, :12, -12:]  # top right
    change = np.abs(extractor(images)[0] - extractor(changed)[0]).mean(axis=(0, 2)).reshape(7, 7)
    quarters = {"top left": change[:3, :3], "top right": change[:3, -3:], "bottom left": change[-3:, :3]}
    assert max(quarters, key=lambda name: quarters[name].mean()) == "top right"


def test_a_manifests_pictures_come_in_its_order_whatever_the_chunks(extractor, images, tmp_path, monkeypatch):
    rows = []
    for number, image in enumerate(images):
        path = tmp_path / f"{number}.png"
        Image.fromarray(image[:, :40]).save(path)
        place = {"file": str(path), "offset": 0, "num_bytes": path.stat().st_size, "width": 40, "height": 48, "crc32": 0}
        rows.append({"pair_id": str(number), "image_id": str(number), "caption": "a", "split": "train", **place})
    manifest = manifest_from_rows(rows)
    monkeypatch.setattr(regions_module, "CHUNK", 4)
    regions, whole = region_features(manifest, 32, "cpu")
    assert (regions.dtype, whole.dtype) == (np.float16, np.float32)
    expected = extractor(np.stack([evaluation_crop(image[:, :40], 32) for image in images]))
    np.testing.assert_allclose(regions, expected[0], rtol=1e-3, atol=1e-2)
    np.testing.assert_allclose(whole, expected[1], atol=1e-4)
