"""Filtering part by part: the same whatever the parts and processes, from wherever it was stopped, in memory that does not grow."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from small_pairs import encoded, make_manifest, picture

from dalle.config import from_mapping
from dalle.data.filtering import parts as parts_module
from dalle.data.filtering.filter_pairs import filter_pairs
from dalle.data.filtering.rule_list import FilterConfig
from dalle.data.filtering.rules import not_english
from dalle.data.manifest import write_manifest

ROOT = Path(__file__).parents[2]
SETTINGS = {
    "boilerplate": {"min_content_words": 2},
    "too_short": {"min_words": 3, "min_characters": 8},
    "too_small": None,
    "aspect_ratio": {"min": 0.5, "max": 2},
    "not_english": {"margin": 1.1, "min_characters": 8, "min_probability": 0.9},
    "undecodable": {"decode": True},
    "duplicate": {"max_mean_difference": 3.0, "max_difference": 40.0},
    "near_duplicate": {"max_distance": 2},
    "clip_score": {"clip": "models/clip", "clip_sha256": "0", "tokenizer": "models/tokenizer", "min_score": 0.1},
}
CONFIG = from_mapping(FilterConfig, SETTINGS)
CAPTIONS = ("a dog on the beach", "IMG_1234.jpg", "red", "ein kleiner Hund läuft über den langen Strand", "a cat in a tree")


def scores(pairs: pd.DataFrame) -> np.ndarray:
    """A CLIP that finds the right caption by the checksum."""
    return (pairs.crc32.to_numpy() % 7 > 0).astype(np.float32)


@pytest.fixture
def manifest(tmp_path):
    rng = np.random.default_rng(0)
    images = []
    for _ in range(120):
        shown = picture(int(rng.integers(30)), *((90, 30) if rng.uniform() < 0.1 else (48, 40)))
        image = encoded(shown, quality=int(rng.choice([75, 90])))
        images.append(image[:-99] if rng.uniform() < 0.1 else image)
    return make_manifest(tmp_path, images, [CAPTIONS[index] for index in rng.integers(0, len(CAPTIONS), 120)])


def run(folder: Path, processes: int = 1, clip_scores=scores) -> tuple[bytes, bytes]:
    """(kept pairs, dropped.csv) as bytes."""
    found = list(
        filter_pairs(folder / "pairs.parquet", CONFIG, folder=folder / "work", processes=processes, clip_scores=clip_scores)
    )
    kept, dropped = (pd.concat(frames, ignore_index=True) for frames in zip(*found, strict=True))
    write_manifest(kept, folder / "kept.parquet")
    return (folder / "kept.parquet").read_bytes(), dropped.to_csv(index=False).encode()


def prepared(manifest, folder: Path, rows_a_part: int, monkeypatch) -> Path:
    monkeypatch.setattr("dalle.data.manifest.ROWS_A_PART", rows_a_part)
    folder.mkdir()
    write_manifest(manifest, folder / "pairs.parquet")
    monkeypatch.undo()
    return folder


def test_parts_and_processes_do_not_change_the_result(manifest, tmp_path, monkeypatch):
    whole = run(prepared(manifest, tmp_path / "whole", 1000, monkeypatch))
    for rule in SETTINGS:
        assert (f",{rule},".encode() in whole[1]) == (SETTINGS[rule] is not None), rule
    for rows in (13, 50):
        assert run(prepared(manifest, tmp_path / f"{rows}", rows, monkeypatch)) == whole
    assert run(prepared(manifest, tmp_path / "processes", 20, monkeypatch), processes=2) == whole


@pytest.mark.parametrize("at", [1, 9, 24, 41])
def test_a_stopped_run_goes_on_from_its_last_finished_part(manifest, tmp_path, monkeypatch, at):
    whole = run(prepared(manifest, tmp_path / "whole", 20, monkeypatch))
    folder = prepared(manifest, tmp_path / "stopped", 20, monkeypatch)
    work_on, save, count = parts_module._work_on, parts_module.save, 0

    def stopping(file, array):
        nonlocal count
        count += 1
        if count == at:
            file.with_name(f".{file.name}").write_bytes(b"half a")
            raise KeyboardInterrupt
        save(file, array)

    monkeypatch.setattr(parts_module, "save", stopping)
    with pytest.raises(KeyboardInterrupt):
        run(folder)
    monkeypatch.setattr(parts_module, "save", save)
    finished = {file for file in (folder / "work").rglob("[0-9]*.npy")}
    assert len(finished) == at - 1
    worked_on = []

    def watched(task):
        if not task.file.exists():
            worked_on.append(task.file)
        return work_on(task)

    monkeypatch.setattr(parts_module, "_work_on", watched)
    assert run(folder) == whole
    assert not finished & set(worked_on)


def test_an_error_in_a_rule_is_passed_on_and_leaves_nothing_half(manifest, tmp_path, monkeypatch):
    folder = prepared(manifest, tmp_path / "broken", 50, monkeypatch)

    def broken(pairs):
        raise ValueError("the model is broken")

    with pytest.raises(ValueError, match="the model is broken"):
        run(folder, clip_scores=broken)
    assert not list((folder / "work" / "clip_score").glob("*"))
    assert run(folder) == run(prepared(manifest, tmp_path / "whole", 50, monkeypatch))


def test_a_caption_of_a_part_is_judged_once(monkeypatch):
    asked = []
    monkeypatch.setattr(not_english, "explain_captions", lambda captions, _: asked.extend(captions) or captions)
    assert not_english.explain(pd.DataFrame({"caption": ["a", "b", "a"]}), CONFIG.not_english) == ["a", "b", "a"]
    assert asked == ["a", "b"]


MEASURE = """
import sys, tracemalloc
from pathlib import Path
from dalle.config import from_mapping
from dalle.data.filtering.filter_pairs import filter_pairs
from dalle.data.filtering.rule_list import RULES, FilterConfig
rules = dict.fromkeys(RULES) | {
    "too_short": {"min_words": 3, "min_characters": 8}, "duplicate": {"max_mean_difference": 3.0, "max_difference": 40.0}
}
tracemalloc.start()
found = filter_pairs(Path(sys.argv[1]), from_mapping(FilterConfig, rules), folder=Path(sys.argv[2]), processes=1)
print(sum(len(kept) for kept, _ in found), tracemalloc.get_traced_memory()[1])
"""


def test_memory_does_not_grow_with_the_manifest_but_for_the_hashes(manifest, tmp_path):
    """20 bytes a pair, and as much again several times over while they are sorted; a row as text takes a kilobyte."""
    peaks = {}
    for number in (10_000, 110_000):
        path = tmp_path / f"{number}.parquet"
        rows = manifest.iloc[np.arange(number) % len(manifest)].reset_index(drop=True)
        ids = pd.Series(np.arange(number).astype(str))
        write_manifest(rows.assign(pair_id=ids, image_id=ids, caption="a picture called number " + ids.map(as_word)), path)
        command = [sys.executable, "-c", MEASURE, str(path), str(tmp_path / f"work-{number}")]
        done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=True)
        kept, peak = map(int, done.stdout.split())
        assert kept == number
        peaks[number] = peak
    assert peaks[110_000] - peaks[10_000] < 120 * 100_000


def as_word(number: str) -> str:
    return number.translate(str.maketrans("0123456789", "abcdefghij"))
