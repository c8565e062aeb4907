"""The README against the project: what it shows is what is there."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from harness.params import read_yaml

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_the_picture_of_the_pipeline_is_dvcs_own():
    shown = re.search(r"```mermaid\n(.*?)```", README, re.DOTALL).group(1)
    command = [sys.executable, "-m", "dvc", "dag", "--md", "--collapse-foreach-matrix"]
    drawn = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert shown.strip() == re.search(r"```mermaid\n(.*?)```", drawn, re.DOTALL).group(1).strip()


@pytest.mark.parametrize("page", ["README.md", "reports/benchmarks/README.md"])
def test_links_and_pictures_exist(page):
    targets = re.findall(r"\]\(([^)#\s]+)", (ROOT / page).read_text(encoding="utf-8"))
    assert targets
    there = (ROOT / page).parent
    assert [target for target in targets if not target.startswith("http") and not (there / target).exists()] == []


def test_overrides_in_commands_name_real_parameters():
    params = read_yaml(ROOT / "params.yaml")
    keys = re.findall(r"-S '?([\w.]+)=", README)
    assert keys
    for key in keys:
        value = params
        for part in key.split("."):
            value = value[part]


@pytest.mark.parametrize(("page", "least"), [("README.md", 20), ("reports/benchmarks/README.md", 20)])
def test_numbers_with_a_link_are_the_committed_ones(page, least):
    """A number that carries a link to a file of metrics stands there, rounded as shown; thousands may be parted by commas."""
    text, folder = (ROOT / page).read_text(encoding="utf-8"), (ROOT / page).parent
    quoted = re.findall(r"\[([\d.,]+)( %| dB)?\]\(([\w/.-]+\.json) \"([\w/]+)\"\)", text)
    assert len(quoted) >= least
    for number, unit, file, key in quoted:
        value = json.loads((folder / file).read_text())[key] * (100 if unit == " %" else 1)
        decimals = len(number.partition(".")[2])
        assert number.replace(",", "") == f"{value:.{decimals}f}", f"{file} {key} is {value}, {page} says {number}"


def test_every_preset_is_in_the_table():
    rows = re.findall(r"^\| `(\w+)`(?:, the default)? \|.*\| ([^|]+) \|$", README, re.MULTILINE)
    table = {name: time for name, time in rows if (ROOT / "presets" / f"{name}.yaml").exists()}
    assert sorted(table) == sorted(path.stem for path in (ROOT / "presets").glob("*.yaml"))
    assert all(re.search("measured|estimated", time) for time in table.values())
