"""The two Inception networks, with random weights in the published files' format: nobody may ship the real ones."""

import hashlib

import numpy as np
import pytest
import torch
from PIL import Image
from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3
from torchvision.models import inception_v3
from torchvision.transforms import Compose, Normalize, Resize, ToTensor

from dalle.evaluation.extractors import FEATURES, ClipFeatures, open_extractor

PREFIX = 12


@pytest.fixture(scope="module")
def images():
    return np.random.default_rng(0).integers(0, 256, (3, 64, 64, 3), dtype=np.uint8)


def saved(state, path):
    torch.save(state, path)
    return str(path), hashlib.sha256(path.read_bytes()).hexdigest()[:PREFIX]


@pytest.fixture(scope="module")
def tf_weights(tmp_path_factory):
    path = tmp_path_factory.mktemp("weights") / "tf.pth"
    torch.save({}, path)
    torch.manual_seed(0)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(FeatureExtractorInceptionV3, "load_state_dict", lambda self, state: None)
        network = FeatureExtractorInceptionV3("tf", ["2048"], feature_extractor_weights_path=str(path))
    return saved(network.state_dict(), path)


@pytest.fixture(scope="module")
def torchvision_weights(tmp_path_factory):
    torch.manual_seed(0)
    network = inception_v3(weights=None, aux_logits=True, init_weights=False)
    return saved(network.state_dict(), tmp_path_factory.mktemp("weights") / "torchvision.pth")


def test_inception_is_torch_fidelitys(tf_weights, images):
    path, sha256 = tf_weights
    features, logits = open_extractor("inception", "cpu", weights=path, sha256=sha256)(images)
    network = FeatureExtractorInceptionV3("tf", ["2048", "logits_unbiased"], feature_extractor_weights_path=path)
    with torch.inference_mode():
        expected = network(torch.from_numpy(images).permute(0, 3, 1, 2))
    assert features.shape == (3, 2048) and logits.shape == (3, 1008) and features.dtype == np.float32
    for found, wanted in zip((features, logits), expected, strict=True):
        np.testing.assert_allclose(found, wanted, atol=1e-4 * np.abs(wanted.numpy()).max())


def test_dmgan_is_torchvisions_network_under_the_wrong_range(torchvision_weights, images):
    """DM-GAN's steps written with torchvision's own: resize, ToTensor, and the formula of transform_input on top."""
    path, sha256 = torchvision_weights
    features, logits = open_extractor("dmgan", "cpu", weights=path, sha256=sha256)(images)
    steps = Compose([Resize((299, 299)), ToTensor()])
    pixels = torch.stack([steps(Image.fromarray(image)) for image in images])
    network = inception_v3(weights=None, transform_input=True, aux_logits=True, init_weights=False)
    network.load_state_dict(torch.load(path, weights_only=True))
    pooled = []
    network.eval().avgpool.register_forward_hook(lambda module, inputs, output: pooled.append(output.flatten(1)))
    with torch.inference_mode():
        network(pixels)
        network(Normalize((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))(pixels))  # what the formula is meant for
    wrong, right = (part.numpy() for part in pooled)
    np.testing.assert_allclose(features, wrong, atol=1e-4 * np.abs(wrong).max())
    assert np.abs(features - right).max() > 0.01 * np.abs(right).max()
    assert logits.shape == (3, 0)  # DM-GAN takes the inception score of another network


@pytest.mark.parametrize(
    ("features", "file", "where", "sha256"),
    [
        ("inception", "weights-inception-2015-12-05-6726825d.pth", "toshas/torch-fidelity", "6726825d"),
        ("dmgan", "inception_v3_google-0cc3c7bd.pth", "torchvision", "0cc3c7bd"),
    ],
)
def test_without_a_file_the_error_says_which_and_what_works_without(features, file, where, sha256):
    with pytest.raises(ValueError) as caught:
        open_extractor(features, "cpu", weights=None, sha256=None)
    said = str(caught.value)
    assert file in said and where in said and f"sha256 begins with {sha256}" in said and "lite0 works" in said


def test_a_file_with_another_hash_is_not_opened(tf_weights, tmp_path):
    path, _ = tf_weights
    with pytest.raises(ValueError, match=r"tf\.pth: its sha256 is [0-9a-f]{64} and should begin with 6726825d"):
        open_extractor("inception", "cpu", weights=path, sha256=None)
    with pytest.raises(ValueError, match=r"nowhere\.pth: cannot be opened: No such file"):
        open_extractor("dmgan", "cpu", weights=str(tmp_path / "nowhere.pth"), sha256=None)


class Harmful:
    def __reduce__(self):
        return print, ("run",)


def test_nothing_but_tensors_is_read(tmp_path, capsys):
    path, sha256 = saved({"weight": Harmful()}, tmp_path / "harmful.pth")
    with pytest.raises(ValueError, match=r"harmful\.pth: cannot be read as tensors"):
        open_extractor("inception", "cpu", weights=path, sha256=sha256)
    assert capsys.readouterr().out == ""


def test_clip_features_are_what_the_image_tower_says_and_have_no_classes(images):
    extractor = ClipFeatures(lambda batch: batch.reshape(len(batch), -1)[:, :5].astype(np.float32))
    features, logits = extractor(images)
    np.testing.assert_array_equal(features, images.reshape(3, -1)[:, :5])
    assert (extractor.name, logits.shape) == ("clip", (3, 0))


def test_unknown_names_list_those_without_a_file():
    assert FEATURES == ("lite0", "inception", "dmgan", "clip")
    with pytest.raises(ValueError, match="features: 'inceptionv3' is not known"):
        open_extractor("inceptionv3", "cpu", weights=None, sha256=None)
