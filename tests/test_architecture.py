"""Rules about the files themselves: which way imports go, what a package holds, how long a line is."""

import ast
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
SOURCES = sorted(ROOT.glob("src/**/*.py"))
STAGES = sorted(ROOT.glob("stages/*.py"))


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


def imported_modules(path: Path) -> Iterator[str]:
    """Every module named in an import anywhere in the file, also within functions."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{name_of(path)}: imports are absolute here"
            yield node.module or ""


def test_imports_go_one_way(tmp_path):
    """The contracts of pyproject.toml, checked by import-linter on the files beside this test."""
    program = "from importlinter.cli import lint_imports_command; lint_imports_command()"
    finished = subprocess.run(
        [sys.executable, "-c", program, "--no-cache", "--no-logo", "--config", str(ROOT / "pyproject.toml")],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT / "src"), str(ROOT)])},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert finished.returncode == 0, finished.stdout + finished.stderr
    assert re.search(r"Contracts: [1-9]\d* kept, 0 broken", finished.stdout)


def test_the_library_knows_no_pipeline_no_tracker_and_no_yaml():
    foreign = {"dvc", "harness", "mlflow", "ruamel", "stages", "yaml"}
    found = [f"{name_of(path)}: {name}" for path in SOURCES for name in imported_modules(path) if name.split(".")[0] in foreign]
    assert [line for line in found if line.startswith("src/dalle")] == []
    assert any(line.startswith("src/harness") for line in found)  # where they belong, and proof that they are found


def test_only_one_file_knows_mlflow():
    users = [path for path in [*SOURCES, *STAGES] if any(name.split(".")[0] == "mlflow" for name in imported_modules(path))]
    assert [name_of(path) for path in users] == ["src/harness/tracking.py"]


@pytest.mark.parametrize("path", [path for path in SOURCES if path.name == "__init__.py"], ids=name_of)
def test_packages_hold_a_sentence_and_no_code(path):
    body = ast.parse(path.read_text()).body
    assert len(body) == 1 and isinstance(body[0], ast.Expr) and isinstance(body[0].value, ast.Constant)
    assert isinstance(body[0].value.value, str) and body[0].value.value.strip().endswith(".")


def test_every_folder_of_the_library_is_a_package():
    assert [name_of(path) for path in SOURCES if not (path.parent / "__init__.py").is_file()] == []


def test_every_module_says_what_it_is():
    assert [name_of(path) for path in [*SOURCES, *STAGES] if not ast.get_docstring(ast.parse(path.read_text()))] == []


def test_no_module_is_a_drawer():
    drawers = {"utils", "util", "helpers", "helper", "common", "misc"}
    assert [name_of(path) for path in SOURCES if path.stem in drawers or path.parent.name in drawers] == []


def test_lines_fit():
    long = [
        f"{name_of(path)}:{number}"
        for path in [*SOURCES, *STAGES]
        for number, line in enumerate(path.read_text().splitlines(), start=1)
        if len(line) > 128
    ]
    assert long == []


def test_the_active_preset_is_mini():
    """What is committed is `mini`; after `dalle preset NAME` or an edit, copy the preset back or the edit there."""
    assert (ROOT / "params.yaml").read_bytes() == (ROOT / "presets" / "mini.yaml").read_bytes()
