"""The README against the project: what it shows is what is there."""

import json
import re
import subprocess
import sys
from pathlib import Path

from harness.params import read_yaml

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_the_picture_of_the_pipeline_is_dvcs_own():
    shown = re.search(r"```mermaid\n(.*?)```", README, re.DOTALL).group(1)
    command = [sys.executable, "-m", "dvc", "dag", "--md", "--collapse-foreach-matrix"]
    drawn = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert shown.strip() == re.search(r"```mermaid\n(.*?)```", drawn, re.DOTALL).group(1).strip()


def test_links_and_pictures_exist():
    targets = re.findall(r"\]\(([^)#\s]+)", README)
    assert targets
    assert [target for target in targets if not target.startswith("http") and not (ROOT / target).exists()] == []


def test_overrides_in_commands_name_real_parameters():
    params = read_yaml(ROOT / "params.yaml")
    keys = re.findall(r"-S '?([\w.]+)=", README)
    assert keys
    for key in keys:
        value = params
        for part in key.split("."):
            value = value[part]


def test_numbers_from_metrics_are_the_committed_ones():
    """A number in the README that carries a link to its metrics file stands there, rounded as shown."""
    quoted = re.findall(r"\[([\d.]+)( %| dB)?\]\((reports/(?:metrics|benchmarks)/[\w-]+\.json) \"([\w/]+)\"\)", README)
    assert len(quoted) >= 8
    for text, unit, file, key in quoted:
        value = json.loads((ROOT / file).read_text())[key] * (100 if unit == " %" else 1)
        decimals = len(text.partition(".")[2])
        assert f"{value:.{decimals}f}" == text, f"{file} {key} is {value}, the README says {text}"


def test_every_preset_is_in_the_table():
    rows = re.findall(r"^\| `(\w+)`(?:, the default)? \|.*\| ([^|]+) \|$", README, re.MULTILINE)
    table = {name: time for name, time in rows if (ROOT / "presets" / f"{name}.yaml").exists()}
    assert sorted(table) == sorted(path.stem for path in (ROOT / "presets").glob("*.yaml"))
    assert all(re.search("measured|estimated", time) for time in table.values())
