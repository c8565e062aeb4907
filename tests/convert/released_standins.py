"""Files as the released package would leave them, of classes written here from the description of the networks (PAPER 2.1).

The package's name exists only while a file is written, as on a machine that reads it.
"""

import contextlib
import sys
import types
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

SIZES = {"hidden": 8, "codebook_size": 12, "groups": 3, "blocks": 2}
CODEBOOK_WIDTH = 6


class Conv2d(nn.Module):
    def __init__(self, n_in: int, n_out: int, kw: int) -> None:
        super().__init__()
        self.n_in, self.n_out, self.kw, self.use_float16, self.device = n_in, n_out, kw, True, torch.device("cpu")
        self.w = nn.Parameter(torch.randn(n_out, n_in, kw, kw) / (n_in * kw**2) ** 0.5, requires_grad=False)
        self.b = nn.Parameter(0.2 * torch.randn(n_out), requires_grad=False)

    def forward(self, x: Tensor) -> Tensor:
        return F.conv2d(F.pad(x, [self.kw // 2] * 4), self.w, self.b)


class EncoderBlock(nn.Module):
    kernels = (3, 3, 3, 1)

    def __init__(self, n_in: int, n_out: int, post_gain: float) -> None:
        super().__init__()
        self.post_gain, widths = post_gain, [n_in, *[n_out // 4] * 3, n_out]
        self.id_path = Conv2d(n_in, n_out, 1) if n_in != n_out else nn.Identity()
        self.res_path = nn.Sequential()
        for number, kernel in enumerate(self.kernels, start=1):
            self.res_path.add_module(f"relu_{number}", nn.ReLU())
            self.res_path.add_module(f"conv_{number}", Conv2d(widths[number - 1], widths[number], kernel))

    def forward(self, x: Tensor) -> Tensor:
        return self.id_path(x) + self.post_gain * self.res_path(x)


class DecoderBlock(EncoderBlock):
    kernels = (1, 3, 3, 3)


class Network(nn.Module):
    def __init__(self, block: type, ends: list[tuple[int, int, int]], widths: list[int], blocks: int, between: Any) -> None:
        super().__init__()
        self.blocks, width = nn.Sequential(), ends[0][1]
        self.blocks.add_module("input", Conv2d(*ends[0]))
        for number, out_width in enumerate(widths, start=1):
            group = nn.Sequential()
            for index in range(blocks):
                group.add_module(f"block_{index + 1}", block(width, out_width, 1 / (len(widths) * blocks) ** 2))
                width = out_width
            if number < len(widths):
                group.add_module(*between())
            self.blocks.add_module(f"group_{number}", group)
        self.blocks.add_module("output", nn.Sequential())
        self.blocks.output.add_module("relu", nn.ReLU())
        self.blocks.output.add_module("conv", Conv2d(*ends[1]))

    def forward(self, x: Tensor) -> Tensor:
        return self.blocks(x)


class Encoder(Network):
    def __init__(self, hidden: int, codebook_size: int, groups: int, blocks: int) -> None:
        widths = [hidden * 2**group for group in range(groups)]
        ends = [(3, hidden, 7), (widths[-1], codebook_size, 1)]
        super().__init__(EncoderBlock, ends, widths, blocks, lambda: ("pool", nn.MaxPool2d(2)))


class Decoder(Network):
    def __init__(self, hidden: int, codebook_size: int, groups: int, blocks: int, codebook_width: int = CODEBOOK_WIDTH) -> None:
        widths = [hidden * 2**group for group in reversed(range(groups))]
        ends = [(codebook_size, codebook_width, 1), (hidden, 6, 1)]
        super().__init__(DecoderBlock, ends, widths, blocks, lambda: ("upsample", nn.Upsample(scale_factor=2, mode="nearest")))


PACKAGE = {"encoder": [Encoder, EncoderBlock], "decoder": [Decoder, DecoderBlock], "utils": [Conv2d]}
for _name, _classes in PACKAGE.items():
    for _class in _classes:
        _class.__module__ = f"dall_e.{_name}"


@contextlib.contextmanager
def importable() -> Iterator[None]:
    """The package by its name, for `torch.save`, and for the unrestricted unpickling that shows what a payload would do."""
    modules = {"dall_e": types.ModuleType("dall_e")}
    for name, classes in PACKAGE.items():
        modules[f"dall_e.{name}"] = module = types.ModuleType(f"dall_e.{name}")
        for each in classes:
            setattr(module, each.__name__, each)
    assert not modules.keys() & sys.modules.keys()
    sys.modules.update(modules)
    try:
        yield
    finally:
        for name in modules:
            del sys.modules[name]


def networks(**changes: int) -> tuple[Encoder, Decoder]:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return Encoder(**{**SIZES, **changes}), Decoder(**{**SIZES, **changes})


def save(thing: Any, path: Path, **options: Any) -> Path:
    with importable():
        torch.save(thing, path, **options)
    return path


def rewrite(path: Path, change: Callable[[str, bytes], bytes | None] = lambda name, data: data, **options: Any) -> Path:
    """Write the archive anew, each record as `change` returns it, or not at all."""
    with zipfile.ZipFile(path) as archive:
        records = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w", **options) as archive:
        for name, data in records.items():
            if (changed := change(name.partition("/")[2], data)) is not None:
                archive.writestr(name, changed)
    return path
