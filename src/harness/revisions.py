"""Git as the store of experiments: which there are, and the files that each of them committed.

`dvc exp run` commits params.yaml, dvc.lock and reports/ under refs/exps/, so that everything can be read without DVC.
"""

import difflib
import re
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

from dalle.config import ConfigError
from harness.params import parse_yaml

WORKSPACE = "workspace"
ARM = "ABLATION-"  # how the names of experiments begin that `dalle ablate` made: it shows them itself
EXPERIMENT = re.compile(r"refs/exps/([0-9a-f]{2})/([0-9a-f]{38})/(.+)")  # the commit it was run from, then its name
NUM_BASELINE_DIGITS, NUM_PARENT_DIGITS = 7, 10


@dataclass(frozen=True)
class Revision:
    """The project's files at a commit, or (`commit` None) as they lie in a folder, the working directory if none is named."""

    name: str
    commit: str | None
    is_experiment: bool = False
    folder: Path = Path()

    def read(self, path: str) -> bytes | None:
        """A file relative to the project's folder; None where the revision has none."""
        if self.commit is None:
            file = self.folder / path
            return file.read_bytes() if file.is_file() else None
        done = _git("cat-file", "blob", f"{self.commit}:./{path}")
        return done.stdout if done.returncode == 0 else None

    def mapping(self, path: str) -> dict[str, Any]:
        """A YAML file that must be there and hold keys; an error names the revision and the file."""
        content = self.read(path)
        if content is None:
            raise ConfigError(f"{self.name} has no {path}: it was not made by this pipeline, or before its first run")
        values = _parsed(content, f"{self.name}:{path}")
        if not isinstance(values, dict):
            raise ConfigError(f"{self.name}:{path}: expected keys, got {values!r}")
        return values

    @cached_property
    def params(self) -> dict[str, Any]:
        return self.mapping("params.yaml")

    @cached_property
    def lock(self) -> dict[str, Any]:
        """The entries of dvc.lock by stage, as DVC names them (`sample@coco`)."""
        return self.mapping("dvc.lock").get("stages") or {}

    @cached_property
    def parent(self) -> str:
        """The first digits of the commit before, which for an experiment is what it was run from."""
        return _git("rev-parse", f"--short={NUM_PARENT_DIGITS}", f"{self.commit}^").stdout.decode().strip()

    def earlier_locks(self) -> Iterator[dict[str, Any]]:
        """The entries of dvc.lock before, newest first, along the first parents."""
        done = _git("log", "--first-parent", "--format=%H", self.commit or "HEAD", "--", "dvc.lock")
        for commit in done.stdout.decode().split():
            if _git("cat-file", "-e", f"{commit}:./dvc.lock").returncode == 0:
                yield Revision(f"commit {commit[:NUM_BASELINE_DIGITS]}", commit).lock


def find_revisions(names: Sequence[str]) -> list[Revision]:
    """The revisions called `names`: experiments, anything that git can resolve, or `workspace`; without names, all.

    All is the workspace, or HEAD where `dvc exp run` has left the workspace as one of the experiments, and every experiment
    that is not an arm of an ablation.
    """
    asked = _git("rev-parse", "--git-dir")
    if asked.returncode != 0:
        raise ConfigError(
            "this folder is not in a git repository, or git refuses it: experiments are kept in git (MLflow's runs: --runs "
            f"STAGE); git says: {' '.join(asked.stderr.decode(errors='replace').split())}"
        )
    experiments = _experiments()
    if names:
        return list(dict.fromkeys(_find(name, experiments) for name in names))
    experiments = {label: experiment for label, experiment in experiments.items() if not label.startswith(ARM)}
    if not experiments:
        raise ConfigError("there are no experiments yet: dvc exp run -n NAME -S KEY=VALUE makes one")
    workspace, found = Revision(WORKSPACE, None), list(experiments.values())
    same = any(other.read("dvc.lock") == workspace.read("dvc.lock") and other.params == workspace.params for other in found)
    return [_find("HEAD", {}) if same else workspace, *found]


def experiment_beginning(prefix: str) -> Revision | None:
    """The experiment whose name begins so, on whichever baseline."""
    return next((Revision(name, commit, True) for name, _, commit in _references() if name.startswith(prefix)), None)


def _experiments() -> dict[str, Revision]:
    """Every experiment in natural order; a name used on two baselines gets `@` and the baseline's first digits."""
    found = sorted(_references(), key=lambda entry: (natural_order(entry[0]), entry[1]))
    names = [name for name, _, _ in found]
    labels = [name if names.count(name) == 1 else f"{name}@{baseline}" for name, baseline, _ in found]
    return {label: Revision(label, commit, True) for label, (_, _, commit) in zip(labels, found, strict=True)}


def _references() -> Iterator[tuple[str, str, str]]:
    """Name, first digits of the baseline and commit of every experiment."""
    lines = _git("for-each-ref", "--format=%(objectname) %(refname)", "refs/exps").stdout.decode().splitlines()
    for line in lines:
        commit, _, ref = line.partition(" ")
        if match := EXPERIMENT.fullmatch(ref):
            yield match[3], f"{match[1]}{match[2]}"[:NUM_BASELINE_DIGITS], commit


def natural_order(text: str) -> list[tuple[int, str]]:
    """A sort key under which beta9 comes before beta10."""
    return [(int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"(\d+)", text)]


def _find(name: str, experiments: dict[str, Revision]) -> Revision:
    if name == WORKSPACE:
        return Revision(WORKSPACE, None)
    if name in experiments:
        return experiments[name]
    done = _git("rev-parse", "--verify", "--quiet", "--end-of-options", f"{name}^{{commit}}")
    if done.returncode != 0:
        close = difflib.get_close_matches(name, experiments, n=3) or [key for key in experiments if key.startswith(f"{name}@")]
        known = f"did you mean {', '.join(close)}?" if close else f"experiments: {', '.join(experiments) or 'none'}"
        raise ConfigError(f"'{name}' is neither an experiment nor a git revision nor '{WORKSPACE}' ({known})")
    return Revision(name, done.stdout.decode().strip())


@lru_cache(maxsize=256)
def _parsed(content: bytes, source: str) -> Any:
    try:
        return parse_yaml(content.decode(), source)
    except UnicodeDecodeError as error:
        raise ConfigError(f"{source}: not UTF-8 text at byte {error.start}") from None


def _git(*arguments: str) -> subprocess.CompletedProcess[bytes]:
    try:
        return subprocess.run(["git", *arguments], capture_output=True, timeout=60)
    except FileNotFoundError:
        raise ConfigError("git is not installed: experiments are kept in git") from None
