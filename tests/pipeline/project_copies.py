"""A copy of the project to run in: nothing here touches the working tree."""

import fcntl
import importlib
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from contextlib import chdir
from pathlib import Path

from harness.presets import preset_text
from harness.stage import execute

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
            timeout=1800,  # two of them may share two cores
        )

    def stage(self, name: str, *item: str) -> int:
        """The exit code of a stage run in this process, without DVC: what starting Python and torch takes is saved."""
        main = importlib.import_module(f"stages.{name}").main
        with chdir(self.folder):
            return execute(main, name, list(item))

    def environment(self, **more: str) -> dict[str, str]:
        environment = {name: value for name, value in os.environ.items() if not name.startswith(("DVC_", "MLFLOW_", "PYTEST"))}
        path = os.pathsep.join([str(Path(sys.executable).parent), environment["PATH"]])
        return {**environment, "PATH": path, "PYTHONPATH": "src", "DVC_NO_ANALYTICS": "1", **more}

    def set_preset(self, *assignments: str) -> None:
        """params.yaml of preset smoke, as `dalle preset smoke` would write it with these changes."""
        (self.folder / "params.yaml").write_text(preset_text("smoke", ["run.tracking=false", *assignments], ROOT / "presets"))

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
    """A project with everything it has made, to be changed while the first stays as it is; MLflow hears nothing of it."""
    shutil.copytree(project.folder, folder, symlinks=True, ignore=shutil.ignore_patterns("__pycache__", ".tracking"))
    copy = Project(folder)
    copy.edit("  tracking: true", "  tracking: false")  # of section run, which no stage depends on
    return copy


def linked_project(folder: Path, *assignments: str) -> Project:
    """The smoke preset's params.yaml beside links to the working tree's code, for stages that are run in this process."""
    folder.mkdir(parents=True)
    for name in ("src", "stages", "presets", "dvc.yaml"):
        (folder / name).symlink_to(ROOT / name)
    project = Project(folder)
    project.set_preset(*assignments)
    return project


def made_once(folder: Path, make: Callable[[Path], Project]) -> Project:
    """What `make` leaves in `folder`, made by whichever process asks first; the others wait for it."""
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # let go of when the file is closed, or with the process
        outcome = folder / "outcome"
        if not outcome.exists():
            try:
                make(folder / "project")
                outcome.write_text("made")
            except BaseException as error:
                outcome.write_text(f"could not be made: {error}")
                raise
        assert outcome.read_text() == "made", outcome.read_text()
    return Project(folder / "project")
