import json
import subprocess
from dataclasses import dataclass

import pytest
import torch
from torch import nn

from dalle.config import ConfigError
from dalle.training.model_folder import load_model, save_model, weights_sha256


@dataclass(frozen=True, kw_only=True)
class ToyConfig:
    width: int
    kernels: tuple[int, ...]


class Toy(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.first = nn.Conv2d(3, config.width, config.kernels[0])
        self.norm = nn.BatchNorm2d(config.width)
        self.to(memory_format=torch.channels_last)


CONFIG = ToyConfig(width=4, kernels=(3, 1))


@pytest.fixture
def folder(tmp_path):
    """A saved model: the folder that `load_model` reads."""
    torch.manual_seed(0)
    save_model(Toy(CONFIG), CONFIG, tmp_path / "toy")
    return tmp_path / "toy"


def test_a_model_comes_back_from_its_folder_alone(tmp_path):
    torch.manual_seed(1)
    model = Toy(CONFIG).train()
    model.norm(torch.randn(5, 4, 2, 2))  # buffers belong to it
    save_model(model, CONFIG, tmp_path / "deep" / "toy")
    configs = []
    loaded = load_model(lambda config: configs.append(config) or Toy(config), ToyConfig, tmp_path / "deep" / "toy")
    assert configs == [CONFIG] and not loaded.training
    saved, back = model.state_dict(), loaded.state_dict()
    assert list(saved) == list(back) and all(torch.equal(saved[name], back[name]) for name in saved)


def test_a_folder_holds_weights_and_a_readable_config_and_is_the_same_every_time(folder, tmp_path):
    assert {path.name for path in folder.iterdir()} == {"config.json", "model.safetensors"}
    assert json.loads((folder / "config.json").read_text()) == {"width": 4, "kernels": [3, 1]}
    torch.manual_seed(0)
    save_model(Toy(CONFIG), CONFIG, tmp_path / "again")
    for name in ("config.json", "model.safetensors"):
        assert (folder / name).read_bytes() == (tmp_path / "again" / name).read_bytes()


@pytest.mark.parametrize("name", ["config.json", "model.safetensors"])
def test_missing_files_are_named(folder, name):
    (folder / name).unlink()
    with pytest.raises(ValueError, match=f"toy/{name}: missing; a model folder holds"):
        load_model(Toy, ToyConfig, folder)


@pytest.mark.parametrize("kept", [0, 4, 100, -1])
def test_truncated_weights_are_named(folder, kept):
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(ValueError, match="toy/model.safetensors: does not fit its config.json"):
        load_model(Toy, ToyConfig, folder)


def test_weights_of_another_shape_or_model_are_named(folder):
    (folder / "config.json").write_text(json.dumps({"width": 5, "kernels": [3, 1]}))
    with pytest.raises(ValueError, match="(?s)toy/model.safetensors: does not fit its config.json: .*first.weight"):
        load_model(Toy, ToyConfig, folder)
    (folder / "config.json").write_text(json.dumps({"width": 4, "kernels": [3, 1]}))
    with pytest.raises(ValueError, match="(?s)toy/model.safetensors: does not fit its config.json: .*Missing key"):
        load_model(lambda config: nn.ModuleDict({"toy": Toy(config), "more": nn.Linear(2, 2)}), ToyConfig, folder)


@pytest.mark.parametrize("text", ["", '{"width": 4, "ker', "not json"])
def test_a_config_that_is_no_json_is_named(folder, text):
    (folder / "config.json").write_text(text)
    with pytest.raises(ValueError, match="toy/config.json: not valid JSON"):
        load_model(Toy, ToyConfig, folder)


@pytest.mark.parametrize(
    "mapping, message",
    [
        ({"width": 4}, "toy/config.json.kernels: missing key"),
        ({"width": 4, "kernel": [3, 1]}, "toy/config.json.kernel: unknown key .did you mean 'kernels'"),
        ({"width": "4", "kernels": [3, 1]}, "toy/config.json.width: expected a whole number, got '4'"),
        ([4], "toy/config.json: expected a section with keys"),
    ],
)
def test_a_config_of_another_kind_is_named(folder, mapping, message):
    (folder / "config.json").write_text(json.dumps(mapping))
    with pytest.raises(ConfigError, match=message):
        load_model(Toy, ToyConfig, folder)


def test_weights_are_known_by_their_digest(folder):
    printed = subprocess.run(["sha256sum", folder / "model.safetensors"], capture_output=True, text=True, check=True).stdout
    assert weights_sha256(folder) == printed.split()[0]
    with pytest.raises(ValueError, match="model.safetensors: missing"):
        weights_sha256(folder.parent)
