"""A preset is a document: what it is for, on what data and machine, how long it takes, what to expect, and the command."""

import re
from pathlib import Path

import pytest

from harness.params import build_params, parse_yaml
from harness.presets import description, preset_names, preset_text

FOLDER = Path(__file__).parents[2] / "presets"
NAMES = preset_names(FOLDER)
PARTS = ("Reproduces", "Data", "Hardware", "Time", "Expected", "Command")


def document(name: str) -> dict[str, str]:
    """The parts of a preset's leading comment."""
    lines = (FOLDER / f"{name}.yaml").read_text().splitlines()
    end = next(number for number, line in enumerate(lines) if not line.startswith("#"))
    comment = " ".join(line.lstrip("# ").rstrip() for line in lines[1:end])
    found = re.split(rf"(?:^|\s)({'|'.join(PARTS)}): ", comment)
    return dict(zip(found[1::2], found[2::2], strict=True))


def test_the_presets_of_the_design_are_there():
    assert sorted(NAMES) == sorted(["smoke", "mini", "gpu", "coco", "cub", "cc3m", "paper"])


@pytest.mark.parametrize("name", NAMES)
def test_a_preset_is_a_document(name):
    parts = document(name)
    assert tuple(parts) == PARTS and all(parts.values())
    assert re.search(r"\b(measured|estimated)\b", parts["Time"], re.IGNORECASE), "a time says how it is known"
    assert re.search(r"core|GPU", parts["Hardware"])
    assert f"dalle preset {name} && dvc repro" in parts["Command"]
    assert 30 < len(description(name, FOLDER)) <= 126


@pytest.mark.parametrize("name", NAMES)
def test_the_document_names_the_data_that_the_preset_reads(name):
    params = build_params(parse_yaml(preset_text(name, [], FOLDER), name))
    sources = {getattr(params.prepare_data, corpus) for corpus in ("web", *params.domains)} - {"coco", "cub"}
    for source in sources:
        assert ("rendered" if source == "miniworld" else source) in document(name)["Data"]
        # outside data/, which the pipeline owns and DVC empties
        assert source == "miniworld" or source.startswith("external/")


@pytest.mark.parametrize("name", NAMES)
def test_no_preset_claims_a_measured_gpu_time(name):
    """None has been run on a GPU yet: whoever measures one, changes this and the word in the preset."""
    parts = document(name)
    if "GPU with" in parts["Hardware"] or "V100" in parts["Hardware"]:
        assert parts["Time"].startswith("ESTIMATED, not measured")
