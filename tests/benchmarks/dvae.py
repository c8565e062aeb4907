"""How fast the dVAE trains and encodes, beside the same networks in plain float32, and what bf16 does to its loss.

`make bench` runs it and writes reports/benchmarks/dvae.json. Plain means a direct transcription of the paper: float32,
contiguous tensors, torch's own Gumbel-softmax and AdamW, one-hot codes into the decoder, all cores on one batch. Every
measurement is a process of its own, so that its peak of memory is its own too; ours and plain take turns.
"""

import argparse
import dataclasses
import json
import math
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from dalle.dvae.likelihood import map_pixels
from dalle.dvae.loss import negative_elb
from dalle.dvae.model import DVAE, DVAEConfig
from dalle.dvae.train import TrainDVAEConfig, train_dvae
from dalle.generation.encoding import encode_images
from dalle.miniworld.pictures import render_scene
from dalle.miniworld.scenes import draw_scene
from dalle.randomness import numpy_generator
from dalle.training.checkpoint import Checkpoint
from dalle.training.log import MemoryLog
from dalle.training.loop import RunOptions
from harness.hardware import available_cores
from harness.params import load_params

OUT = Path("reports/benchmarks/dvae.json")
PAIRS = 3
TAU, BETA = 0.5, 6.6
OPTIONS = RunOptions(device="cpu", data_workers=0, log_every=1, checkpoint_seconds=1e9)


@dataclasses.dataclass(frozen=True)
class Case:
    """Sizes, a batch, and how many updates or batches are timed after one that is not."""

    config: DVAEConfig
    batch_size: int
    updates: int
    batches: int


def networks(image_size: int, codebook_size: int) -> DVAEConfig:
    """The paper's layers at a quarter of its width."""
    return DVAEConfig(
        image_size=image_size, codebook_size=codebook_size, num_groups=4, blocks_per_group=2, hidden_width=64,
        codebook_width=128, post_gain=1 / 64,
    )  # fmt: skip


CASES = {"64px": Case(networks(64, 1024), 16, 10, 20), "256px": Case(networks(256, 8192), 2, 4, 6)}


def train_ours(case: Case, images: Tensor) -> float:
    """Images a second of the training that the pipeline runs, moving average included."""
    optim = dataclasses.replace(load_params(Path("params.yaml")).train_dvae.optim, updates=case.updates + 1)
    shards = math.gcd(available_cores(), case.batch_size)
    optim = dataclasses.replace(optim, batch_size=case.batch_size, shards=shards, validate_every=10**6)
    stamps: list[float] = []

    def batch_at(step: int) -> Tensor:
        stamps.append(time.perf_counter())
        return images

    _train(case.config, batch_at, images[:1], optim)
    return case.batch_size * (case.updates - 1) / (stamps[-1] - stamps[1])


def train_plain(case: Case, images: Tensor) -> float:
    """Images a second of forward, backward and AdamW, written down directly."""
    dvae = DVAE(case.config).to(memory_format=torch.contiguous_format)
    optimizer = torch.optim.AdamW(dvae.parameters(), lr=1e-4, weight_decay=1e-4)

    def update() -> None:
        code_logits = dvae.encoder(map_pixels(images))
        maps = dvae.decoder(F.gumbel_softmax(code_logits, TAU, dim=1))
        loss, _, _ = negative_elb(maps, images, code_logits, BETA, "logit_laplace")
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    return case.batch_size / seconds_each(update, case.updates)


def encode_ours(case: Case, images: Tensor) -> float:
    pixels = (images.permute(0, 2, 3, 1) * 255).to(torch.uint8).numpy()
    dvae = DVAE(case.config)
    settings = {"batch_size": case.batch_size, "device": "cpu", "precision": "bf16"}
    return case.batch_size / seconds_each(lambda: encode_images(dvae, pixels, **settings), case.batches)


@torch.no_grad()
def encode_plain(case: Case, images: Tensor) -> float:
    dvae = DVAE(case.config).to(memory_format=torch.contiguous_format)
    return case.batch_size / seconds_each(lambda: dvae.encoder(map_pixels(images)).argmax(1), case.batches)


@torch.no_grad()
def decode_ours(case: Case, images: Tensor) -> float:
    dvae, codes = DVAE(case.config), random_codes(case)
    return case.batch_size / seconds_each(lambda: dvae.likelihood_maps_of_codes(codes), case.batches)


@torch.no_grad()
def decode_plain(case: Case, images: Tensor) -> float:
    dvae, codes = DVAE(case.config).to(memory_format=torch.contiguous_format), random_codes(case)

    def decode() -> None:
        dvae.decoder(F.one_hot(codes, case.config.codebook_size).permute(0, 3, 1, 2).float())

    return case.batch_size / seconds_each(decode, case.batches)


MEASURED: dict[str, Callable[[Case, Tensor], float]] = {
    "train/ours": train_ours,
    "train/plain": train_plain,
    "encode/ours": encode_ours,
    "encode/plain": encode_plain,
    "decode/ours": decode_ours,
    "decode/plain": decode_plain,
}


def random_codes(case: Case) -> Tensor:
    grid = case.config.grid_size
    return torch.randint(case.config.codebook_size, (case.batch_size, grid, grid))


def seconds_each(work: Callable[[], object], times: int) -> float:
    work()
    start = time.perf_counter()
    for _ in range(times):
        work()
    return (time.perf_counter() - start) / times


def measure(what: str, case: Case) -> dict[str, float]:
    """Images a second, and the megabytes by which the process grew over what it held before."""
    torch.set_num_threads(available_cores())
    torch.set_flush_denormal(True)
    torch.manual_seed(0)
    images = torch.rand(case.batch_size, 3, case.config.image_size, case.config.image_size)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    rate = MEASURED[what](case, images)
    return {"images_per_second": rate, "peak_mb": (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024}


def compared() -> dict[str, float]:
    """For each kind of work and size: medians of ours and plain, and the median of the ratios of neighbours in time."""
    result: dict[str, float] = {}
    for size in CASES:
        for work in ("train", "encode", "decode"):
            pairs = [[_in_own_process(f"{work}/{who}", size) for who in ("ours", "plain")] for _ in range(PAIRS)]
            for index, who in enumerate(("ours", "plain")):
                for key in ("images_per_second", "peak_mb"):
                    result[f"{work}_{size}/{who}_{key}"] = statistics.median(pair[index][key] for pair in pairs)
            ratios = [ours["images_per_second"] / plain["images_per_second"] for ours, plain in pairs]
            result |= {f"{work}_{size}/times": statistics.median(ratios), f"{work}_{size}/times_low": min(ratios)}
    return result


def precision(updates: int = 400, last: int = 100) -> dict[str, float]:
    """The loss at the end of a short training of the default's networks, in bf16 and float32, and with another seed."""
    config = load_params(Path("params.yaml")).train_dvae
    rngs = [numpy_generator("benchmark", index) for index in range(512)]
    scenes = [np.asarray(render_scene(draw_scene(rng, heldout=False), rng, (48, 48))) for rng in rngs]
    images = torch.from_numpy(np.stack(scenes)).permute(0, 3, 1, 2).float() / 255
    ends = {}
    for name, kind, seed in (("bf16", "bf16", 0), ("fp32", "fp32", 0), ("other", "fp32", 1)):
        optim = dataclasses.replace(config.optim, precision=kind, updates=updates, validate_every=10**6)
        short = dataclasses.replace(config, schedule_clock=config.optim.updates / updates, optim=optim)
        short = dataclasses.replace(short, warm_start=dataclasses.replace(config.warm_start, updates=updates // 2))
        log = _train(short, lambda step: images[16 * step % 448 :][:16], images[-64:], optim, seed)
        losses = [metrics["train/loss"] for _, metrics in log.points if "train/loss" in metrics]
        ends[name] = statistics.mean(losses[-last:])
    return {
        "precision/loss_bf16": ends["bf16"],
        "precision/loss_fp32": ends["fp32"],
        "precision/difference_bf16": abs(ends["bf16"] - ends["fp32"]),
        "precision/difference_of_seeds": abs(ends["other"] - ends["fp32"]),
    }


def _train(config: DVAEConfig | TrainDVAEConfig, batch_at: Callable, valid: Tensor, optim, seed: int = 0) -> MemoryLog:
    if isinstance(config, DVAEConfig):
        section = load_params(Path("params.yaml")).train_dvae
        sizes = {name: value for name, value in dataclasses.asdict(config).items() if name != "image_size"}
        untouched = dataclasses.replace(section.warm_start, updates=0)
        config = dataclasses.replace(section, **sizes, warm_start=untouched, optim=optim)
    log = MemoryLog()
    with tempfile.TemporaryDirectory() as folder:
        train_dvae(batch_at, valid, config, seed=seed, options=OPTIONS, checkpoint=Checkpoint(Path(folder) / "s.pt"), log=log)
    return log


def _in_own_process(what: str, size: str) -> dict[str, float]:
    environment = {**os.environ, "OMP_WAIT_POLICY": "PASSIVE"}
    command = [sys.executable, __file__, "--measure", what, "--size", size]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--measure", choices=MEASURED)
    parser.add_argument("--size", choices=CASES)
    options = parser.parse_args()
    if options.measure:
        print(json.dumps(measure(options.measure, CASES[options.size])))
        return
    torch.set_flush_denormal(True)
    result = {**compared(), **precision()}
    OUT.parent.mkdir(parents=True, exist_ok=True)
    OUT.write_text(json.dumps({key: float(f"{value:.4g}") for key, value in sorted(result.items())}, indent=2) + "\n")
    print(OUT.read_text())


if __name__ == "__main__":
    main()
