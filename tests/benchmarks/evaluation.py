"""FID and the inception score of 3 models over 5 radii: our sweep beside torch-fidelity, called as it is meant to be called.

`make bench` runs it and writes reports/benchmarks/evaluation.json. torch-fidelity is called once per (model, radius), a
Dataset doing the blur: once with its cache off, as comparisons of papers do it, and once with a cache name per set and
radius, which is the most that it can save. All three get the same files, the same network (the object itself) and the same
threads, in processes of their own, in alternating order.
"""

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageFilter

from dalle.evaluation.features import Extractor, load_extractor
from dalle.evaluation.folders import read_folder
from dalle.evaluation.protocol import Protocol
from dalle.evaluation.sweep import Originals, Samples, sweep
from dalle.miniworld.pictures import render_scene
from dalle.miniworld.scenes import draw_scene
from dalle.randomness import numpy_generator
from harness.hardware import available_cores

OUT = Path("reports/benchmarks/evaluation.json")
RADII = (0.0, 1.0, 2.0, 4.0, 8.0)
MODELS = ("plain", "noisy", "coarse")
SIZE = 256
REPEATS = 3
# only FID and the inception score are compared; the rest is as small as a protocol may be
PROTOCOL = Protocol(
    features="lite0", weights=None, weights_sha256=None, blur_kind="pil", blur_radii=RADII, blur_reference_size=SIZE,
    inception_splits=10, kid_subsets=1, kid_subset_size=2, neighbourhood=1, bootstrap=2, fid_infinity=False,
)  # fmt: skip


def render(folder: Path, number: int) -> None:
    """A folder of PNGs for the reference and for each of three models, whose damage is in its name."""
    for name in ("reference", *MODELS):
        (folder / name).mkdir()
        for index in range(number):
            rng = numpy_generator("benchmark", name, index)
            image = render_scene(draw_scene(rng, heldout=False), rng, (SIZE, SIZE))
            pixels = np.asarray(image).astype(np.float64)
            if name == "noisy":
                pixels += rng.normal(0, 12, pixels.shape)
            if name == "coarse":
                pixels = pixels // 48 * 48
            Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(folder / name / f"{index:04}.png")


class Counted:
    """The extractor and how many images went through it."""

    def __init__(self) -> None:
        self.extractor, self.name, self.passes = load_extractor("lite0", "cpu"), "lite0", 0

    def __call__(self, images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        self.passes += len(images)
        return self.extractor(images)


def ours(folder: Path) -> tuple[dict[str, float], int]:
    extractor = Counted()
    models = [Samples.single(name, read_folder(folder / name, None).images) for name in MODELS]
    originals = Originals(images=read_folder(folder / "reference", None).images, overlapping=None)
    with tempfile.TemporaryDirectory() as finished:
        rows = sweep(models, originals, extractor, PROTOCOL, domain="benchmark", seed=0, finished=Path(finished))
    wanted = [row for row in rows if row["metric"] in ("fid", "inception_score")]
    return {f"{row['metric']} {row['model']} {row['blur_radius']:g}": row["value"] for row in wanted}, extractor.passes


class Blurred(torch.utils.data.Dataset):
    """What a user of torch-fidelity writes for a blurred folder."""

    def __init__(self, folder: Path, radius: float) -> None:
        self.files, self.radius = sorted(folder.glob("*.png")), radius

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, index: int) -> torch.Tensor:
        with Image.open(self.files[index]) as image:
            blurred = image.filter(ImageFilter.GaussianBlur(self.radius)) if self.radius else image
            return torch.from_numpy(np.array(blurred)).permute(2, 0, 1)


def torch_fidelity(folder: Path, cached: bool) -> tuple[dict[str, float], int]:
    from torch_fidelity import calculate_metrics, register_feature_extractor
    from torch_fidelity.feature_extractor_base import FeatureExtractorBase

    shared = Counted()

    class Lite0(FeatureExtractorBase):
        """Our own network as an extractor of torch-fidelity."""

        def __init__(self, name, features_list, **kwargs):
            super().__init__(name, features_list)

        get_provided_features_list = staticmethod(lambda: ("features", "logits"))
        get_default_feature_layer_for_metric = staticmethod(lambda metric: "logits" if metric == "isc" else "features")
        can_be_compiled = staticmethod(lambda: False)
        get_dummy_input_for_compile = staticmethod(lambda: torch.zeros(1, 3, SIZE, SIZE, dtype=torch.uint8))

        def forward(self, images):
            features, logits = shared(images.permute(0, 2, 3, 1).contiguous().numpy())
            found = {"features": torch.from_numpy(features), "logits": torch.from_numpy(logits)}
            return tuple(found[name] for name in self.features_list)

    register_feature_extractor("lite0", Lite0)
    values = {}
    with tempfile.TemporaryDirectory() as cache:
        for model in MODELS:
            for radius in RADII:
                names = {"input1_cache_name": f"{model}-{radius}", "input2_cache_name": f"reference-{radius}"} if cached else {}
                found = calculate_metrics(
                    input1=Blurred(folder / model, radius), input2=Blurred(folder / "reference", radius), isc=True, fid=True,
                    feature_extractor="lite0", isc_splits=10, cuda=False, cache=cached, cache_root=cache, verbose=False, **names,
                )  # fmt: skip
                values[f"fid {model} {radius:g}"] = found["frechet_inception_distance"]
                values[f"inception_score {model} {radius:g}"] = found["inception_score_mean"]
    return values, shared.passes


CONTENDERS = {
    "ours": ours,
    "fidelity": lambda folder: torch_fidelity(folder, cached=False),
    "fidelity_cached": lambda folder: torch_fidelity(folder, cached=True),
}


def measure(name: str, folder: Path) -> dict[str, float]:
    """One run in this process: seconds of the wall and of the cores, images through the network, memory, and the numbers."""
    warnings.simplefilter("ignore")  # torch-fidelity asks for more loading processes than there are cores
    torch.set_num_threads(available_cores())
    assert isinstance(load_extractor("lite0", "cpu"), Extractor)  # imports are not timed
    start, before = time.perf_counter(), os.times()
    values, passes = CONTENDERS[name](folder)
    seconds, after = time.perf_counter() - start, os.times()
    used = [resource.getrusage(who).ru_maxrss / 1024 for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    cpu = sum(after[:4]) - sum(before[:4])
    return {"seconds": seconds, "cpu_seconds": cpu, "passes": passes, "peak_mb": used[0], "values": values}


def compared(folder: Path, repeats: int) -> dict[str, float]:
    runs: dict[str, list[dict]] = {name: [] for name in CONTENDERS}
    for repeat in range(repeats):
        order = list(CONTENDERS) if repeat % 2 == 0 else list(CONTENDERS)[::-1]
        for name in order:
            command = [sys.executable, __file__, "--measure", name, "--folder", str(folder)]
            done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
            runs[name].append(json.loads(done.stdout.splitlines()[-1]))
            print(name, {key: value for key, value in runs[name][-1].items() if key != "values"}, file=sys.stderr)
    result = {}
    for name, of_name in runs.items():
        for key in ("seconds", "cpu_seconds", "passes", "peak_mb"):
            result[f"{name}/{key}"] = statistics.median(run[key] for run in of_name)
        result[f"{name}/seconds_low"] = min(run["seconds"] for run in of_name)
    for name in ("fidelity", "fidelity_cached"):
        result[f"times/{name}"] = statistics.median(
            theirs["seconds"] / mine["seconds"] for theirs, mine in zip(runs[name], runs["ours"], strict=True)
        )
        for metric in ("fid", "inception_score"):
            mine, theirs = runs["ours"][0]["values"], runs[name][0]["values"]
            keys = [key for key in mine if key.startswith(metric)]
            result[f"difference/{name}_{metric}"] = max(abs(mine[key] / theirs[key] - 1) for key in keys)
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--measure", choices=CONTENDERS)
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--images", type=int, default=500, help="of each of the four sets")
    parser.add_argument("--repeats", type=int, default=REPEATS)
    parser.add_argument("--out", type=Path, default=OUT)
    options = parser.parse_args()
    if options.measure:
        print(json.dumps(measure(options.measure, options.folder)))
        return
    with tempfile.TemporaryDirectory() as folder:
        render(Path(folder), options.images)
        result = {**compared(Path(folder), options.repeats), "images": options.images}
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps({key: float(f"{value:.4g}") for key, value in sorted(result.items())}, indent=2) + "\n")
    print(options.out.read_text())


if __name__ == "__main__":
    main()
