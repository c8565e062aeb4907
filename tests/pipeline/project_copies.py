"""A copy of the project to run in: nothing here touches the working tree."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
FILES = ("dvc.yaml", "params.yaml", "pyproject.toml", ".gitignore", ".dvcignore", ".dvc/config")
PARTS = (*FILES, "presets", "src", "stages", "reports/ablations", "reports/human_eval/votes")


class Project:
    """A project folder, and commands run in it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def run(self, *command: str, **environment: str) -> subprocess.CompletedProcess:
        """Run `python -m command...`, never raising; output is text."""
        return subprocess.run(
            [sys.executable, "-m", *command],
            cwd=self.folder,
            env=self.environment(**environment),
            capture_output=True,
            text=True,
            timeout=900,
        )

    def environment(self, **more: str) -> dict[str, str]:
        environment = {name: value for name, value in os.environ.items() if not name.startswith(("DVC_", "MLFLOW_", "PYTEST"))}
        path = os.pathsep.join([str(Path(sys.executable).parent), environment["PATH"]])
        return {**environment, "PATH": path, "PYTHONPATH": "src", "DVC_NO_ANALYTICS": "1", **more}

    def edit(self, old: str, new: str, file: str = "params.yaml") -> None:
        path = self.folder / file
        text = path.read_text()
        assert old in text
        path.write_text(text.replace(old, new, 1))


def copy_project(folder: Path) -> Project:
    """The parts of the working tree that the pipeline needs, at the smoke preset, as a fresh DVC project without git."""
    for part in PARTS:
        target = folder / part
        target.parent.mkdir(parents=True, exist_ok=True)
        if (ROOT / part).is_dir():
            shutil.copytree(ROOT / part, target, ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
        else:
            shutil.copy(ROOT / part, target)
    project = Project(folder)
    with open(folder / ".dvc" / "config", "a", encoding="utf-8") as config:
        config.write("    no_scm = true\n")
    switched = project.run("harness.cli", "preset", "smoke")
    assert switched.returncode == 0, switched.stderr
    return project


def copy_of(project: Project, folder: Path) -> Project:
    """A project with everything it has made, to be changed while the first stays as it is."""
    shutil.copytree(project.folder, folder, symlinks=True, ignore=shutil.ignore_patterns("__pycache__"))
    return Project(folder)
