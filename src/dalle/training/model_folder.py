"""A model on disk: a folder with `config.json` and `model.safetensors`, rebuilt from the folder alone."""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import nn

from dalle.config import ConfigError, from_mapping, to_mapping

M = TypeVar("M", bound=nn.Module)


def save_model(model: nn.Module, config: Any, folder: Path) -> None:
    """Write `model` (on any device) with the dataclass that builds it."""
    folder.mkdir(parents=True, exist_ok=True)
    tensors = {name: value.detach().cpu().contiguous() for name, value in model.state_dict().items()}
    save_file(tensors, folder / "model.safetensors")
    (folder / "config.json").write_text(json.dumps(to_mapping(config), indent=2) + "\n")


def load_model(build: Callable[[Any], M], config_class: type, folder: Path) -> M:
    """Read what `save_model` wrote; a missing, truncated or differently shaped file is a `ValueError` naming it."""
    model = build(from_mapping(config_class, saved_config(folder), str(folder / "config.json")))
    try:
        model.load_state_dict(load_file(folder / "model.safetensors"))
    except (SafetensorError, RuntimeError) as error:
        raise ValueError(f"{folder / 'model.safetensors'}: does not fit its config.json: {error}") from None
    return model.eval()


def weights_sha256(folder: Path) -> str:
    """The digest by which a model is known, as `sha256sum model.safetensors` prints it; a missing file is a `ValueError`."""
    path = folder / "model.safetensors"
    if not path.is_file():
        raise ValueError(f"{path}: missing; a model folder holds config.json and model.safetensors")
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def saved_config(folder: Path) -> dict[str, Any]:
    """The mapping in a model folder's `config.json`; one of the two files missing, or no mapping, is a `ValueError`."""
    for name in ("config.json", "model.safetensors"):
        if not (folder / name).is_file():
            raise ValueError(f"{folder / name}: missing; a model folder holds config.json and model.safetensors")
    path = folder / "config.json"
    try:
        config = json.loads(path.read_text())
    except ValueError as error:
        raise ValueError(f"{path}: not valid JSON: {error}") from None
    if not isinstance(config, dict):
        raise ConfigError(f"{path}: expected a section with keys, got {config!r}")
    return config
