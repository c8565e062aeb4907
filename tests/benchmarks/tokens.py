"""How fast pictures become tokens: from JPEG files to what is on the disk, and where the time goes.

`make bench` runs it and writes reports/benchmarks/tokens.json. Beside it the same work as it is usually written: a DataLoader
with PIL and torchvision, the networks in plain float32 on all cores, one np.save at the end. Both get the same files, the
same weights and one view an image, in processes of their own and in turns. The parts of our time are seconds of the cores.
"""

import argparse
import contextlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from PIL import Image

from dalle.data import token_shards
from dalle.data.manifest import manifest_from_rows
from dalle.data.token_store import SHARD_FILES
from dalle.dvae.likelihood import map_pixels
from dalle.dvae.model import DVAE, DVAEConfig
from dalle.generation import encoding
from dalle.miniworld.pictures import render_scene
from dalle.miniworld.scenes import draw_scene
from dalle.randomness import numpy_generator
from harness.hardware import available_cores
from harness.params import load_params

OUT = Path("reports/benchmarks/tokens.json")
PAIRS = 3
NOISE = 6  # grey levels: flat pictures would be read faster than photographs are
PARTS = {
    "decoding": [(encoding, "load_image")],
    "cropping": [(encoding, "evaluation_crop"), (encoding, "prior_crop")],
    "encoding": [(encoding, "encode_images")],
    "writing": [(token_shards, name) for name in ("write_shard", "count_codes", "join_shards")],
}


@dataclass(frozen=True)
class Case:
    """Networks, the files' width and height, how many there are, and how many go through the networks at once."""

    config: DVAEConfig
    file_size: tuple[int, int]
    images: int
    batch_size: int


def cases() -> dict[str, Case]:
    """The default's dVAE and pictures, and the paper's layers at a quarter of its width on photographs of MS-COCO's size."""
    params = load_params(Path("presets/mini.yaml"))
    small = params.train_dvae.model(params.image_size)
    large = DVAEConfig(
        image_size=256, codebook_size=8192, num_groups=4, blocks_per_group=2, hidden_width=64, codebook_width=128,
        post_gain=1 / 64,
    )  # fmt: skip
    batch_size = params.precompute_tokens.batch_size
    return {"48px": Case(small, (96, 96), 1500, batch_size), "256px": Case(large, (640, 480), 24, 4)}


def render(folder: Path, case: Case) -> None:
    for index in range(case.images):
        rng = numpy_generator("benchmark", index)
        pixels = np.asarray(render_scene(draw_scene(rng, heldout=False), rng, case.file_size)).astype(np.float32)
        noisy = (pixels + rng.normal(0, NOISE, pixels.shape)).clip(0, 255).astype(np.uint8)
        Image.fromarray(noisy).save(folder / f"{index:05}.jpg", quality=90)


def manifest(files: list[Path]) -> pd.DataFrame:
    rows = []
    for file in files:
        place = {"file": str(file), "offset": 0, "num_bytes": file.stat().st_size, "width": 0, "height": 0, "crc32": 0}
        rows.append({"pair_id": file.stem, "image_id": file.stem, "caption": "a picture", "split": "train", **place})
    return manifest_from_rows(rows)


def ours(case: Case, dvae: DVAE, files: list[Path], out: Path, views: int = 1) -> np.ndarray:
    """As the stage does it, in two shards."""
    settings = {"num_views": views, "codes": "argmax", "seed": 0, "device": "cpu", "precision": "bf16"}
    encode = partial(encoding.encode_views, dvae, batch_size=case.batch_size * views, **settings)
    sizes = {"codebook_size": case.config.codebook_size, "grid_size": case.config.grid_size}
    half = -(-len(files) // 2)
    shards = token_shards.write_shards([manifest(files)], out / "shards", encode, pairs_per_shard=half, **sizes)
    token_shards.join_shards(out / "shards", shards.num_shards, out / "store", views=views, **sizes, dvae_sha256="none")
    return np.concatenate([np.load(out / "store" / SHARD_FILES[0].format(number)) for number in range(shards.num_shards)])


@torch.no_grad()
def plain(case: Case, dvae: DVAE, files: list[Path], out: Path) -> np.ndarray:
    from torchvision.transforms import CenterCrop, Compose, InterpolationMode, Resize, ToTensor

    side = case.config.image_size
    transform = Compose([Resize(side, InterpolationMode.LANCZOS), CenterCrop(side), ToTensor()])

    class Pictures(torch.utils.data.Dataset):
        def __len__(self) -> int:
            return len(files)

        def __getitem__(self, index: int) -> torch.Tensor:
            return transform(Image.open(files[index]).convert("RGB"))

    dvae = dvae.to(memory_format=torch.contiguous_format)
    loader = torch.utils.data.DataLoader(Pictures(), batch_size=case.batch_size, num_workers=available_cores())
    tokens = torch.cat([dvae.encoder(map_pixels(images)).argmax(1).flatten(1) for images in loader])
    np.save(out / "tokens.npy", tokens.numpy().astype(np.uint16))
    return np.load(out / "tokens.npy")[:, None]


WORK: dict[str, Callable[[Case, DVAE, list[Path], Path], np.ndarray]] = {
    "ours": ours,
    "plain": plain,
    "ours_three_views": partial(ours, views=3),
}


@contextlib.contextmanager
def clocked() -> Iterator[Counter]:
    """Seconds of the cores spent in each of PARTS, by any thread."""
    spent, lock = Counter(), threading.Lock()
    kept = [(module, name, getattr(module, name)) for functions in PARTS.values() for module, name in functions]

    def timed(part: str, function: Callable) -> Callable:
        def call(*arguments, **settings):
            start = time.thread_time()
            result = function(*arguments, **settings)
            with lock:
                spent[part] += time.thread_time() - start
            return result

        return call

    for part, functions in PARTS.items():
        for module, name in functions:
            setattr(module, name, timed(part, getattr(module, name)))
    try:
        yield spent
    finally:
        for module, name, function in kept:
            setattr(module, name, function)


def measure(who: str, case: Case, folder: Path) -> dict[str, float]:
    """Images a second, how our time is spent, and the tokens themselves beside the pictures."""
    torch.set_num_threads(available_cores())
    torch.set_flush_denormal(True)
    torch.manual_seed(0)
    dvae, files = DVAE(case.config).eval(), sorted(folder.glob("*.jpg"))
    with tempfile.TemporaryDirectory() as out:
        WORK[who](case, dvae, files[: case.batch_size], Path(out))
    torch.set_num_threads(available_cores())
    with tempfile.TemporaryDirectory() as out, clocked() as spent:
        start = time.perf_counter()
        tokens = WORK[who](case, dvae, files, Path(out))
        seconds = time.perf_counter() - start
    np.save(folder / f"{who}.npy", tokens)
    shares = {f"share_{part}": used / spent.total() for part, used in spent.items()}
    return {"images_per_second": len(files) * tokens.shape[1] / seconds, **shares}


def compared(size: str, case: Case, folder: Path) -> dict[str, float]:
    """Medians of what each did, the median ratio of neighbours in time, and how many tokens came out the same."""
    render(folder, case)
    pairs = [[_in_own_process(who, size, folder) for who in ("ours", "plain")] for _ in range(PAIRS)]
    views = _in_own_process("ours_three_views", size, folder)
    ratios = [mine["images_per_second"] / theirs["images_per_second"] for mine, theirs in pairs]
    result = {
        "ours_images_per_second": statistics.median(mine["images_per_second"] for mine, _ in pairs),
        "plain_images_per_second": statistics.median(theirs["images_per_second"] for _, theirs in pairs),
        "times": statistics.median(ratios),
        "times_low": min(ratios),
        "three_views_images_per_second": views["images_per_second"],
        "equal_tokens": float((np.load(folder / "ours.npy") == np.load(folder / "plain.npy")).mean()),
    }
    for part in PARTS:
        result[f"share_{part}"] = statistics.median(mine[f"share_{part}"] for mine, _ in pairs)
    return {f"tokens_{size}/{key}": value for key, value in result.items()}


def _in_own_process(who: str, size: str, folder: Path) -> dict[str, float]:
    environment = {**os.environ, "OMP_WAIT_POLICY": "PASSIVE"}
    command = [sys.executable, __file__, "--measure", who, "--size", size, "--folder", str(folder)]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--measure", choices=WORK)
    parser.add_argument("--size", choices=cases())
    parser.add_argument("--folder", type=Path)
    options = parser.parse_args()
    if options.measure:
        print(json.dumps(measure(options.measure, cases()[options.size], options.folder)))
        return
    result: dict[str, float] = {}
    for size, case in cases().items():
        with tempfile.TemporaryDirectory() as folder:
            result |= compared(size, case, Path(folder))
    OUT.parent.mkdir(parents=True, exist_ok=True)
    OUT.write_text(json.dumps({key: float(f"{value:.4g}") for key, value in sorted(result.items())}, indent=2) + "\n")
    print(OUT.read_text())


if __name__ == "__main__":
    main()
