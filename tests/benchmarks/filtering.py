"""Web pairs from WebDataset shards to the manifest of those fit for training: ours beside the loop that people write.

`make bench` runs it and writes reports/benchmarks/filtering.json. The shards are as img2dataset writes them: JPEGs of quality
95 with 256 pixels on the short side, captions, JSON. A few hundred pictures with the spectrum of photographs are written again
and again under captions of many kinds; a tenth of the pairs is junk of every planted kind. The loop goes through the tar files,
opens and decodes each picture with PIL and asks the same rules, with the same text functions and a set of hashes for
duplicates, in one process. Ours is indexing and filtering with the default rules, on all cores; `decode` is ours with every
picture decoded. Each run is a process of its own, in alternating order; memory is that of the whole tree of processes, with
shared pages counted once. `flat` is filtering alone, of the same rows again and again with other captions and ids.
"""

import argparse
import dataclasses
import hashlib
import io
import itertools
import json
import os
import re
import statistics
import subprocess
import sys
import tarfile
import tempfile
import threading
import time
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import psutil
from PIL import Image

from dalle.config import from_mapping
from dalle.data.filtering.filter_pairs import filter_pairs
from dalle.data.filtering.rule_list import FilterConfig
from dalle.data.filtering.rules import boilerplate, not_english, too_short, undecodable
from dalle.data.manifest import iterate_manifest, manifest_from_rows, manifest_writer, write_manifest
from dalle.data.sources.rows import clean_caption
from dalle.data.sources.webdataset import iterate_webdataset
from dalle.miniworld.captions import caption_scene
from dalle.miniworld.junk import KINDS, boilerplate_caption, break_file, short_caption
from dalle.miniworld.languages import foreign_caption
from dalle.miniworld.scenes import draw_scene
from dalle.randomness import numpy_generator
from harness.params import read_yaml

OUT = Path("reports/benchmarks/filtering.json")
PHRASES = Path("tests/data/captions/english.txt")
PAIRS, REPEATS, PAIRS_A_SHARD, NUM_PICTURES = 100_000, 3, 10_000, 400
JUNK_FRACTION = 0.1
FLAT_ROWS = (10_000, 1_000_000)
WEB_PAIRS = 250e6  # of the paper
CORES = len(os.sched_getaffinity(0))


def photograph(rng: np.random.Generator, width: int, height: int) -> bytes:
    """A JPEG of noise whose amplitude falls with frequency, as in photographs, in three correlated channels."""
    rows, columns = np.fft.fftfreq(height)[:, None], np.fft.fftfreq(width)[None]
    falling = 1 / np.maximum(np.hypot(rows, columns), 1 / max(width, height)) ** 1.3
    layers = [np.fft.ifft2(falling * np.fft.fft2(rng.normal(size=(height, width)))).real for _ in range(3)]
    pixels = np.stack([layers[0], layers[0] + 0.3 * layers[1], layers[0] + 0.3 * layers[2]], axis=-1)
    pixels = 128 + 55 * (pixels - pixels.mean()) / pixels.std()
    buffer = io.BytesIO()
    Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(buffer, "JPEG", quality=95)
    return buffer.getvalue()


def draw_pair(rng: np.random.Generator, pictures: list[bytes], wide: list[bytes], phrases: list[str]) -> tuple[bytes, str]:
    junk = KINDS[int(rng.integers(len(KINDS)))] if rng.uniform() < JUNK_FRACTION else ""
    shown = wide if junk == "aspect_ratio" else pictures
    picture = shown[int(rng.integers(len(shown)))]
    if rng.uniform() < 0.3:
        caption = caption_scene(draw_scene(rng, heldout=False), rng)
    else:
        first, second = (phrases[int(index)] for index in rng.integers(len(phrases), size=2))
        caption = f"{first} {('next to', 'and', 'with', 'in front of', '|')[int(rng.integers(5))]} {second}"
    if junk == "too_short":
        return picture, short_caption(rng)
    if junk == "boilerplate":
        return picture, boilerplate_caption(rng)
    if junk == "not_english":
        return picture, foreign_caption(draw_scene(rng, heldout=False), rng)
    if junk == "undecodable":
        return break_file(picture, rng), caption
    return (pictures[0], phrases[0] + " of the year") if junk == "duplicate" else (picture, caption)


def write_shards(folder: Path, num_pairs: int) -> None:
    rng = numpy_generator("benchmark", "filtering")
    phrases = PHRASES.read_text().splitlines()
    sizes = [(256, 256), (341, 256), (256, 341), (384, 256), (256, 384)]
    pictures = [photograph(rng, *sizes[index % len(sizes)]) for index in range(NUM_PICTURES)]
    wide = [photograph(rng, 640, 256) for _ in range(NUM_PICTURES // 10)]
    for start in range(0, num_pairs, PAIRS_A_SHARD):
        with tarfile.open(folder / f"{start // PAIRS_A_SHARD:05d}.tar", "w", format=tarfile.USTAR_FORMAT) as tar:
            for index in range(start, min(num_pairs, start + PAIRS_A_SHARD)):
                image, caption = draw_pair(rng, pictures, wide, phrases)
                described = {"caption": caption, "key": f"{index:09d}", "status": "success", "exif": "{}", "width": 256}
                files = {"jpg": image, "json": json.dumps(described, indent=4).encode(), "txt": caption.encode()}
                for extension, content in files.items():
                    member = tarfile.TarInfo(f"{index:09d}.{extension}")
                    member.size = len(content)
                    tar.addfile(member, io.BytesIO(content))


def default_rules() -> FilterConfig:
    return from_mapping(FilterConfig, read_yaml(Path("params.yaml"))["filter_data"]["rules"])


def ours(shards: Path, decode: bool) -> dict[str, float]:
    rules = dataclasses.replace(default_rules(), undecodable=undecodable.Config(decode=decode))
    with tempfile.TemporaryDirectory() as temporary:
        folder, clock = Path(temporary), Clock()
        with manifest_writer(folder / "web.parquet") as writer:
            for manifest, _ in iterate_webdataset(shards):
                writer.write(manifest)
        found = {f"index_{key}": value for key, value in clock.lap().items()}
        num_kept = filtered(folder / "web.parquet", rules, folder)
        return found | {f"filter_{key}": value for key, value in clock.lap().items()} | {"kept": num_kept}


def filtered(manifest: Path, rules: FilterConfig, folder: Path) -> int:
    with manifest_writer(folder / "kept.parquet") as writer:
        for kept, dropped in filter_pairs(manifest, rules, folder=folder / "scratch", processes=CORES):
            writer.write(kept)
            dropped.to_csv(folder / "dropped.csv", mode="a", index=False)
    return writer.num_pairs


def loop(shards: Path) -> dict[str, float]:
    """One pair after the other, everything asked of everyone until somebody objects."""
    rules = default_rules()
    seen: set[bytes] = set()
    rows = []
    for shard in sorted(shards.glob("*.tar")):
        for key, caption, data, offset, foreign in _judged(_pairs_of(shard), rules.not_english):
            if boilerplate.explain_caption(caption, rules.boilerplate) or too_short.explain_caption(caption, rules.too_short):
                continue
            if foreign:
                continue
            try:
                with Image.open(io.BytesIO(data)) as image:
                    width, height = image.size
                    pixels = np.asarray(image.convert("RGB"))
            except Exception:  # whatever PIL says of a broken file
                continue
            if not rules.aspect_ratio.min <= width / height <= rules.aspect_ratio.max:
                continue
            words = re.sub(r"[\W_]+", " ", caption.lower()).strip()
            digest = hashlib.sha1(pixels.tobytes() + words.encode()).digest()
            if digest in seen:
                continue
            seen.add(digest)
            row = {"pair_id": f"{shard.stem}/{key}", "image_id": f"{shard.stem}/{key}", "caption": caption, "split": "train"}
            place = {"file": str(shard), "offset": offset, "num_bytes": len(data), "crc32": zlib.crc32(data)}
            rows.append({**row, **place, "width": width, "height": height})
    with tempfile.TemporaryDirectory() as folder:
        write_manifest(manifest_from_rows(rows), Path(folder) / "kept.parquet")
    return {"kept": len(rows)}


def _judged(pairs: Iterator[tuple[str, str, bytes, int]], rule: not_english.Config) -> Iterator[tuple]:
    """The language rule's word of many captions at once, which is how its tables of frequencies are fast."""
    while several := list(itertools.islice(pairs, 500)):
        found = not_english.explain_captions([caption for _, caption, *_ in several], rule)
        yield from ((*pair, detail) for pair, detail in zip(several, found, strict=True))


def _pairs_of(shard: Path) -> Iterator[tuple[str, str, bytes, int]]:
    with tarfile.open(shard) as tar:
        current: dict[str, bytes] = {}
        offset = 0
        for member in tar:
            key, _, extension = member.name.partition(".")
            current[extension] = tar.extractfile(member).read()
            if extension == "jpg":
                offset = member.offset_data
            if len(current) == 3:
                yield key, clean_caption(current["txt"].decode("utf-8", "replace")), current["jpg"], offset
                current = {}


def repeat_rows(manifest: Path, num_rows: int, path: Path) -> None:
    words, done = PHRASES.read_text().split(), 0
    with manifest_writer(path) as writer:
        while done < num_rows:
            for part in iterate_manifest(manifest):
                part = part.head(num_rows - writer.num_pairs)
                again = f"{words[done % len(words)]} {words[done // 7 % len(words)]}" if done else ""
                ids = part.pair_id + f"/{done}"
                captions = (part.caption + " " + again).where(part.caption.str.split().str.len() > 5, part.caption)
                writer.write(part.assign(pair_id=ids, image_id=ids, caption=captions))
            done = writer.num_pairs


class Clock:
    """Seconds of the wall and of the cores, of this process and all that it has started and waited for."""

    def __init__(self) -> None:
        self.before = time.perf_counter(), sum(os.times()[:4])

    def lap(self) -> dict[str, float]:
        now = time.perf_counter(), sum(os.times()[:4])
        seconds, cpu_seconds = (after - before for after, before in zip(now, self.before, strict=True))
        self.before = now
        return {"seconds": seconds, "cpu_seconds": cpu_seconds}


class PeakMemory(threading.Thread):
    """The most that this process and its descendants held at once, in MB, looked at ten times a second."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.peak, self.ended = 0.0, threading.Event()

    def run(self) -> None:
        process = psutil.Process()
        while not self.ended.wait(0.1):
            held = 0
            for one in [process, *process.children(recursive=True)]:
                try:
                    held += one.memory_full_info().pss
                except psutil.Error:  # it has just ended
                    pass
            self.peak = max(self.peak, held / 2**20)


def flat(manifest: Path) -> dict[str, float]:
    with tempfile.TemporaryDirectory() as folder:
        return {"kept": filtered(manifest, default_rules(), Path(folder))}


MEASURED: dict[str, Callable[[Path], dict[str, float]]] = {
    "ours": lambda shards: ours(shards, decode=False),
    "decode": lambda shards: ours(shards, decode=True),
    "loop": loop,
    "flat": flat,
}


def measure(what: str, source: Path) -> dict[str, float]:
    memory, clock = PeakMemory(), Clock()
    memory.start()
    found = MEASURED[what](source)
    taken = clock.lap()
    memory.ended.set()
    memory.join()
    return {**taken, "peak_mb": memory.peak, **found}


def in_own_process(what: str, source: Path) -> dict[str, float]:
    command = [sys.executable, __file__, "--measure", what, "--source", str(source)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    found = json.loads(done.stdout.splitlines()[-1])
    print(what, {key: round(value, 2) for key, value in found.items()}, file=sys.stderr)
    return found


def compared(shards: Path, num_pairs: int, repeats: int) -> dict[str, float]:
    runs: dict[str, list[dict[str, float]]] = {name: [] for name in ("ours", "decode", "loop")}
    for repeat in range(repeats):
        for name in list(runs) if repeat % 2 == 0 else list(runs)[::-1]:
            runs[name].append(in_own_process(name, shards))
    result = {}
    for name, of_name in runs.items():
        for key in of_name[0]:
            result[f"{name}/{key}"] = statistics.median(run[key] for run in of_name)
        result[f"{name}/pairs_per_second"] = num_pairs / result[f"{name}/seconds"]
        hours = WEB_PAIRS / num_pairs / 3600
        for key in [key for key in of_name[0] if key.endswith("cpu_seconds")]:
            result[f"{name}/{key.removesuffix('cpu_seconds')}core_hours_of_250_million"] = hours * result[f"{name}/{key}"]
    for name in ("ours", "decode"):
        ratios = [theirs["seconds"] / mine["seconds"] for theirs, mine in zip(runs["loop"], runs[name], strict=True)]
        result |= {f"times/{name}": statistics.median(ratios), f"times/{name}_low": min(ratios)}
        result[f"times/{name}_cpu"] = result["loop/cpu_seconds"] / result[f"{name}/cpu_seconds"]
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--measure", choices=MEASURED)
    parser.add_argument("--source", type=Path)
    parser.add_argument("--rows", type=int, default=FLAT_ROWS[-1], help="of the longest manifest that is filtered")
    parser.add_argument("--pairs", type=int, default=PAIRS)
    parser.add_argument("--repeats", type=int, default=REPEATS)
    parser.add_argument("--out", type=Path, default=OUT)
    options = parser.parse_args()
    if options.measure:
        print(json.dumps(measure(options.measure, options.source)))
        return
    with tempfile.TemporaryDirectory() as temporary:
        shards = Path(temporary) / "shards"
        shards.mkdir()
        write_shards(shards, options.pairs)
        result = compared(shards, options.pairs, options.repeats)
        manifest = Path(temporary) / "web.parquet"
        with manifest_writer(manifest) as writer:
            for part, _ in iterate_webdataset(shards):
                writer.write(part)
        for rows in (FLAT_ROWS[0], options.rows):
            repeat_rows(manifest, rows, Path(temporary) / "many.parquet")
            of_rows = in_own_process("flat", Path(temporary) / "many.parquet")
            result |= {f"flat_{rows}/{key}": of_rows[key] for key in ("seconds", "cpu_seconds", "peak_mb", "kept")}
    result |= {"of/pairs": options.pairs, "of/cores": CORES}
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps({key: float(f"{value:.4g}") for key, value in sorted(result.items())}, indent=2) + "\n")
    print(options.out.read_text())


if __name__ == "__main__":
    main()
