"""The dVAE that OpenAI released, `encoder.pkl` and `decoder.pkl`, as a model folder: the same network under our names."""

import os
import re
import shutil
import tempfile
from pathlib import Path
from typing import Any

import torch
from torch import nn

from dalle.convert.released_network import ReleasedNetwork, read_network, root_class
from dalle.convert.restricted_reading import class_of
from dalle.dvae.model import DVAE, DecoderBlock, DVAEConfig, EncoderBlock
from dalle.training.model_folder import save_model

CLASSES = {
    nn.Conv2d: "dall_e.utils.Conv2d",
    EncoderBlock: "dall_e.encoder.EncoderBlock",
    DecoderBlock: "dall_e.decoder.DecoderBlock",
    nn.Identity: "torch.nn.modules.linear.Identity",
    nn.MaxPool2d: "torch.nn.modules.pooling.MaxPool2d",
    nn.ReLU: "torch.nn.modules.activation.ReLU",
    nn.Sequential: "torch.nn.modules.container.Sequential",
    nn.Upsample: "torch.nn.modules.upsampling.Upsample",
}
RESIDUAL = [f"{layer}_{number}" for number in (1, 2, 3, 4) for layer in ("relu", "conv")]


def convert_dvae(encoder_file: Path, decoder_file: Path, folder: Path, image_size: int) -> DVAE:
    """Write the two released networks to `folder`, for `load_dvae`; `image_size` is what the model will take.

    Both files are read as `restricted_reading` says. A `ValueError` names what is missing, too much or of another shape.
    """
    if folder.is_symlink() or (folder.exists() and not (folder.is_dir() and not any(folder.iterdir()))):
        raise ValueError(f"{folder}: is there already; name a folder that is new or empty")
    dvae = build_dvae(read_network(encoder_file, "encoder"), read_network(decoder_file, "decoder"), image_size)
    folder = folder.absolute()
    folder.parent.mkdir(parents=True, exist_ok=True)
    partial = Path(tempfile.mkdtemp(prefix=f".partial-{folder.name}-", dir=folder.parent))
    try:
        save_model(dvae, dvae.config, partial)
        partial.chmod(0o755)
        os.replace(partial, folder)  # fails where somebody has filled the folder meanwhile
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return dvae


def build_dvae(encoder: ReleasedNetwork, decoder: ReleasedNetwork, image_size: int) -> DVAE:
    """In float32, in evaluation mode."""
    config = infer_config(encoder, decoder, image_size)
    with torch.device("meta"):
        dvae = DVAE(config)
    _fill(dvae.encoder, encoder, config)
    _fill(dvae.decoder, decoder, config)
    return dvae.eval()


def infer_config(encoder: ReleasedNetwork, decoder: ReleasedNetwork, image_size: int) -> DVAEConfig:
    """The sizes that the two networks have; where both have one, they must agree."""
    sizes = {
        "codebook_size": (encoder.width("blocks.output.conv.w", 0), decoder.width("blocks.input.w", 1)),
        "num_groups": (_num_groups(encoder), _num_groups(decoder)),
        "blocks_per_group": (_blocks_per_group(encoder), _blocks_per_group(decoder)),
        "hidden_width": (encoder.width("blocks.input.w", 0), decoder.width("blocks.output.conv.w", 1)),
        "post_gain": (_post_gain(encoder), _post_gain(decoder)),
    }
    for name, (in_encoder, in_decoder) in sizes.items():
        if in_encoder != in_decoder:
            raise ValueError(f"{name} is {in_encoder} in {encoder.path} and {in_decoder} in {decoder.path}: they are no pair")
    shared: dict[str, Any] = {name: size for name, (size, _) in sizes.items()}
    return DVAEConfig(image_size=image_size, codebook_width=decoder.width("blocks.input.w", 0), **shared)


def _num_groups(network: ReleasedNetwork) -> int:
    return sum(bool(re.fullmatch(r"blocks\.group_\d+", path)) for path in network.modules)


def _blocks_per_group(network: ReleasedNetwork) -> int:
    return sum(bool(re.fullmatch(r"blocks\.group_1\.block_\d+", path)) for path in network.modules)


def _post_gain(network: ReleasedNetwork) -> float:
    blocks = [path for path in network.modules if re.fullmatch(r"blocks\.group_\d+\.block_\d+", path)]
    gains = {network.state(path, "post_gain") for path in blocks}
    if len(gains) != 1 or type(gain := gains.pop()) is not float:
        raise ValueError(f"{network.path}: the blocks have no common post_gain")
    return gain


def _fill(ours: nn.Sequential, theirs: ReleasedNetwork, config: DVAEConfig) -> None:
    """Put the released tensors into `ours`, whose own have shapes and no numbers."""
    layers = _released_paths(ours, theirs.kind, config)
    _check_same(theirs, "module", _classes(layers, theirs.kind), {path: class_of(m) for path, m in theirs.modules.items()})
    convolutions = {path: layer for path, layer in layers.items() if isinstance(layer, nn.Conv2d)}
    shapes = {f"{path}.w": tuple(layer.weight.shape) for path, layer in convolutions.items()}
    shapes |= {f"{path}.b": tuple(layer.bias.shape) for path, layer in convolutions.items()}
    _check_same(theirs, "tensor", shapes, {name: tuple(tensor.shape) for name, tensor in theirs.tensors.items()})
    for path, layer in layers.items():
        _check_attributes(theirs, path, layer)
    for path, layer in convolutions.items():
        layer.weight = nn.Parameter(theirs.tensors[f"{path}.w"].detach().float().contiguous())
        layer.bias = nn.Parameter(theirs.tensors[f"{path}.b"].detach().float().contiguous())


def _released_paths(ours: nn.Sequential, kind: str, config: DVAEConfig) -> dict[str, nn.Module]:
    """Our layers by the paths that they have in the released network."""
    between = {"encoder": "pool", "decoder": "upsample"}[kind]
    paths = ["blocks.input"]
    for group in range(1, config.num_groups + 1):
        paths += [f"blocks.group_{group}.block_{block}" for block in range(1, config.blocks_per_group + 1)]
        paths += [f"blocks.group_{group}.{between}"] if group < config.num_groups else []
    layers: dict[str, nn.Module] = dict(zip([*paths, "blocks.output.relu", "blocks.output.conv"], ours, strict=True))
    for path, block in list(layers.items()):
        if isinstance(block, EncoderBlock):
            layers[f"{path}.id_path"] = block.identity
            layers |= {f"{path}.res_path.{name}": layer for name, layer in zip(RESIDUAL, block.residual, strict=True)}
    return layers


def _classes(layers: dict[str, nn.Module], kind: str) -> dict[str, str]:
    """The class of every module of the released network; what only holds others is a `Sequential`."""
    holders = {path.rpartition(".")[0]: CLASSES[nn.Sequential] for path in layers} | {"blocks": CLASSES[nn.Sequential]}
    return holders | {path: CLASSES[type(layer)] for path, layer in layers.items()} | {"": root_class(kind)}


def _check_same(network: ReleasedNetwork, what: str, expected: dict[str, Any], found: dict[str, Any]) -> None:
    for name in sorted(expected.keys() | found.keys()):
        if name not in found:
            raise ValueError(f"{network.path}: the {what} {name} is missing")
        if name not in expected:
            raise ValueError(f"{network.path}: the {what} {name} has no place in a released {network.kind}")
        if found[name] != expected[name]:
            raise ValueError(f"{network.path}: the {what} {name} is {found[name]}, expected {expected[name]}")


def _check_attributes(network: ReleasedNetwork, path: str, layer: nn.Module) -> None:
    """What a layer computes beside its tensors; a pool of another kind would go unnoticed."""
    expected: dict[str, Any] = {}
    if isinstance(layer, nn.Conv2d):
        expected = {"kw": layer.kernel_size[0]}  # the released convolution pads by it
    elif isinstance(layer, nn.MaxPool2d):
        expected = {"kernel_size": 2, "stride": 2, "padding": 0, "dilation": 1, "ceil_mode": False}
    elif isinstance(layer, nn.Upsample):
        expected = {"size": None, "scale_factor": 2, "mode": "nearest"}
    for name, value in expected.items():
        if (found := network.state(path, name)) != value:
            raise ValueError(f"{network.path}: {path} has {name} {found!r}, expected {value!r}")
