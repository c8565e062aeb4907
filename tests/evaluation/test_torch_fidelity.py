"""Our sweep over two folders of 200 images beside torch-fidelity's calculate_metrics with the same network."""

import io

import numpy as np
import pandas as pd
import pytest
import torch
from evaluation_protocols import small_protocol
from PIL import Image
from small_networks import RandomFeatures, RandomNetwork, pictures
from torch_fidelity import calculate_metrics, register_feature_extractor
from torch_fidelity.feature_extractor_base import FeatureExtractorBase
from torch_fidelity.metric_fid import fid_features_to_statistics, fid_statistics_to_metric
from torch_fidelity.metric_isc import isc_features_to_metric
from torch_fidelity.metric_kid import kid_features_to_metric

from dalle.evaluation.fid import fid
from dalle.evaluation.folders import read_folder
from dalle.evaluation.inception_score import inception_score
from dalle.evaluation.kid import kid
from dalle.evaluation.sweep import Originals, Samples, extract, sweep

NUM_IMAGES = 200


class Registered(FeatureExtractorBase):
    """The same network behind torch-fidelity's interface."""

    def __init__(self, name, features_list, **kwargs):
        super().__init__(name, features_list)
        self.network = RandomNetwork()

    @staticmethod
    def get_provided_features_list():
        return "features", "logits"

    @staticmethod
    def get_default_feature_layer_for_metric(metric):
        return "logits" if metric == "isc" else "features"

    @staticmethod
    def can_be_compiled():
        return False

    @staticmethod
    def get_dummy_input_for_compile():
        return torch.zeros(1, 3, 32, 32, dtype=torch.uint8)

    def forward(self, images):
        found = dict(zip(self.get_provided_features_list(), self.network(images), strict=True))
        return tuple(found[name] for name in self.features_list)


register_feature_extractor("random", Registered)


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    root = tmp_path_factory.mktemp("folders")
    sets = {"reference": pictures(NUM_IMAGES, seed=0), "samples": (pictures(NUM_IMAGES, seed=1) * 0.8).astype(np.uint8)}
    for name, images in sets.items():
        (root / name).mkdir()
        for index, image in enumerate(images):
            Image.fromarray(image).save(root / name / f"{index:03}.png")
    return root


def test_all_metrics_of_two_folders_of_200_images(folders, tmp_path):
    expected = calculate_metrics(
        input1=str(folders / "samples"), input2=str(folders / "reference"), isc=True, fid=True, kid=True, prc=True,
        feature_extractor="random", kid_subsets=20, kid_subset_size=100, isc_splits=10, prc_neighborhood=3,
        cuda=False, cache=False, save_cpu_ram=True, verbose=False,
    )  # fmt: skip
    images, reference = (read_folder(folders / name, None).images for name in ("samples", "reference"))
    rows = sweep(
        [Samples.single("gan", images)],
        Originals(images=reference, overlapping=None),
        RandomFeatures(),
        small_protocol(inception_splits=10, kid_subsets=20, kid_subset_size=100, neighbourhood=3, blur_radii=(0.0,)),
        domain="coco",
        seed=0,
        finished=tmp_path,
    )
    found = pd.DataFrame(rows).set_index("metric")["value"]
    assert (pd.DataFrame(rows)["num_samples"] == NUM_IMAGES).all()
    # torch-fidelity takes FID's mean in float32, KID's kernels, PRC's distances and its share too
    assert found["fid"] == pytest.approx(expected["frechet_inception_distance"], rel=1e-6)
    assert found["inception_score"] == pytest.approx(expected["inception_score_mean"], rel=1e-6)
    assert found["kid"] == pytest.approx(expected["kernel_inception_distance_mean"], rel=1e-5)
    assert found["precision"] == pytest.approx(expected["precision"], rel=1e-6)
    assert found["recall"] == pytest.approx(expected["recall"], rel=1e-6)
    assert 0 < found["precision"] < 1 < found["inception_score"] < 10 and found["fid"] > 0.1


def test_all_metrics_of_the_same_200_images_on_shared_float64_features(folders, tmp_path):
    """torch-fidelity's own parts in the precision that it does not use by itself: nothing is left but the last digits."""
    images, reference = (read_folder(folders / name, None).images for name in ("samples", "reference"))
    protocol = small_protocol(inception_splits=10, kid_subsets=20, kid_subset_size=100, neighbourhood=3, blur_radii=(0.0,))
    originals = Originals(images=reference, overlapping=None)
    over = {"domain": "coco", "seed": 0, "finished": tmp_path}
    rows = sweep([Samples.single("gan", images)], originals, RandomFeatures(), protocol, **over)
    found = {row["metric"]: row["value"] for row in rows}
    taken = [extract(of, np.arange(200), RandomFeatures(), protocol, 0.0, is_reference=False) for of in (images, reference)]
    (x, logits), (y, _) = ([torch.from_numpy(part).double() for part in parts] for parts in taken)
    statistics = [fid_features_to_statistics(features) for features in (x, y)]
    expected = {
        "fid": fid_statistics_to_metric(*statistics, verbose=False)["frechet_inception_distance"],
        "inception_score": isc_features_to_metric(logits, splits=10)["inception_score_mean"],
        "kid": kid_features_to_metric(x, y, kid_subsets=20, kid_subset_size=100, verbose=False)["kernel_inception_distance_mean"],
    }
    for metric, value in expected.items():
        assert found[metric] == pytest.approx(value, rel=1e-12), metric
    # distances written out, one image against all others: shares of 200 images are exact
    reach = {name: [np.sort(((of - one) ** 2).sum(1))[3] for one in of] for name, of in (("x", x.numpy()), ("y", y.numpy()))}
    assert found["precision"] == np.mean([(((y.numpy() - one) ** 2).sum(1) <= reach["y"]).any() for one in x.numpy()])
    assert found["recall"] == np.mean([(((x.numpy() - one) ** 2).sum(1) <= reach["x"]).any() for one in y.numpy()])


def test_on_shared_float64_features_only_the_last_digits_differ(rng):
    x, y = (np.abs(rng.normal(shift, 1, (200, 16))) for shift in (0.3, 0.0))
    tensors = [torch.from_numpy(features) for features in (x, y)]
    statistics = [fid_features_to_statistics(tensor) for tensor in tensors]
    expected = fid_statistics_to_metric(*statistics, verbose=False)["frechet_inception_distance"]
    assert fid(x, y) == pytest.approx(expected, rel=1e-12)
    expected = isc_features_to_metric(tensors[0], splits=10)["inception_score_mean"]
    assert inception_score(x, splits=10)[0] == pytest.approx(expected, rel=1e-12)
    expected = kid_features_to_metric(*tensors, kid_subsets=9, kid_subset_size=50, verbose=False)
    assert kid(x, y, subsets=9, subset_size=50)[0] == pytest.approx(expected["kernel_inception_distance_mean"], rel=1e-12)


def run(images, reference, tmp_path, **changes):
    protocol = small_protocol(blur_radii=(0.0,), neighbourhood=3, kid_subset_size=50, **changes)
    models = [Samples.single(name, samples) for name, samples in images.items()]
    originals = Originals(images=reference, overlapping=None)
    rows = sweep(models, originals, RandomFeatures(), protocol, domain="c", seed=0, finished=tmp_path)
    return pd.DataFrame(rows).pivot(index="metric", columns="model", values="value")


def jpeg(images, quality):
    saved = []
    for image in images:
        buffer = io.BytesIO()
        Image.fromarray(image).save(buffer, format="JPEG", quality=quality)
        saved.append(np.asarray(Image.open(buffer)))
    return np.stack(saved)


def test_damage_raises_fid_in_the_order_of_how_much_there_is_of_it(tmp_path):
    clean = pictures(200, seed=1)
    noise = np.random.default_rng(2).normal(0, 1, clean.shape)
    redness = np.argsort(clean[..., 0].mean(axis=(1, 2)))
    ladders = [
        {f"jpeg {quality}": jpeg(clean, quality) for quality in (75, 30, 5)},
        {f"noise {level}": np.clip(clean + level * noise, 0, 255).astype(np.uint8) for level in (5, 10, 30)},
        # what is left of the world is shown again in the place of what was dropped
        {f"{kept} of 200": clean[np.resize(redness[-kept:], 200)] for kept in (150, 100, 50)},
    ]
    damaged = {name: images for ladder in ladders for name, images in ladder.items()}
    values = run({"clean": clean, **damaged}, clean, tmp_path)
    for ladder in ladders:
        found = values.loc["fid", ["clean", *ladder]]
        assert found["clean"] == pytest.approx(0, abs=1e-9) and (np.diff(found) > 1e-4).all(), found
    assert values.loc["recall", "50 of 200"] < 0.5 < values.loc["precision", "50 of 200"]
