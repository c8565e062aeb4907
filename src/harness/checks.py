"""The single checks of `dalle doctor`: what is found here against what params.yaml needs, each a line or a few."""

import configparser
import operator
import re
import tomllib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from dalle.data.text_files import escaped

if TYPE_CHECKING:
    from harness.params_tree import Params
    from harness.run_config import RunConfig

NUM_NAMED = 5  # packages or files in one line
GIGABYTE = 1e9
CPU_PARAMETERS = 10_000_000  # `mini` trains 3 million in ten minutes; time grows with parameters and updates
BOUNDS = {">=": operator.ge, "<": operator.lt}


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One line: MISSING is what cannot be done without, a note what may go wrong or slowly."""

    level: Literal["ok", "note", "MISSING"]
    what: str
    text: str

    def __str__(self) -> str:
        return f"{self.level:8} {self.what:14} {self.text}"


def python(project: Path, version: tuple[int, int, int]) -> Finding:
    """The interpreter against `requires-python` of pyproject.toml."""
    wanted = tomllib.loads(project.read_text())["project"]["requires-python"]
    bounds = re.findall(r"(>=|<)(\d+)\.(\d+)", wanted)
    found = ".".join(map(str, version))
    if all(BOUNDS[sign](version[:2], (int(major), int(minor))) for sign, major, minor in bounds):
        return Finding(level="ok", what="Python", text=found)
    return Finding(level="MISSING", what="Python", text=f"this is {found}, needed is {wanted}: make the environment with that")


def packages(lock: Path, version_of: Callable[[str], str | None]) -> Iterator[Finding]:
    """Installed versions against the lock; `version_of` gives None for what is not installed."""
    if not lock.is_file():
        yield Finding(level="note", what="packages", text=f"{lock.name} is not here, so versions cannot be compared")
        return
    pinned = dict(line.split("==") for line in lock.read_text().split() if "==" in line)
    found = {name: version_of(name) for name in pinned}
    absent = [f"{name}=={pinned[name]}" for name, version in found.items() if version is None]
    # a build's own suffix, as in 2.9.0+cu128, is the same version
    others = [f"{name} {version} (lock: {pinned[name]})" for name, version in found.items() if _differs(version, pinned[name])]
    if absent:
        yield Finding(level="MISSING", what="packages", text=f"not installed: {_some(absent)}")
    if others:
        text = f"not as in {lock.name}, so numbers may differ in their last digits: {_some(others)}"
        yield Finding(level="note", what="packages", text=text)
    if not absent and not others:
        yield Finding(level="ok", what="packages", text=f"all {len(pinned)} as in {lock.name}")


def repository(root: Path) -> Iterator[Finding]:
    """DVC works in a git repository, or in a folder set up to do without; experiments need git."""
    if not (root / ".dvc").is_dir():
        yield Finding(level="MISSING", what="DVC", text=f"{root} has no .dvc folder: run dvc init, or clone the project again")
    else:
        yield Finding(level="ok", what="DVC", text="initialised")
    if any((folder / ".git").exists() for folder in (root, *root.parents)):
        yield _git(root)
    elif _without_git(root):
        yield Finding(level="note", what="git", text="no repository: dvc repro works, dvc exp does not (git init, and commit)")
    else:
        text = "no repository, in which DVC refuses to work: git init and commit, or dvc config core.no_scm true"
        yield Finding(level="MISSING", what="git", text=text)


def _git(root: Path) -> Finding:
    from harness.lineage import git_refusal

    if (refusal := git_refusal("rev-parse", "--git-dir", folder=root)) is not None:
        text = f"git refuses this repository, so no run could record its commit: {refusal}"
        return Finding(level="MISSING", what="git", text=text)
    if git_refusal("rev-parse", "--verify", "HEAD", folder=root) is not None:
        text = "a repository without a commit: runs cannot record what they ran, dvc exp does not work (git commit)"
        return Finding(level="note", what="git", text=text)
    return Finding(level="ok", what="git", text="a repository")


def path(root: Path) -> Iterator[Finding]:
    """DVC's experiments in copies of the project fail where its path is not ASCII."""
    if not str(root).isascii():
        yield Finding(level="note", what="path", text=non_ascii_words(root))


def non_ascii_words(root: Path) -> str:
    return (
        f"{escaped(root)} has letters that are not ASCII, with which dvc exp run --queue and --temp fail, and so do "
        "dalle ablate and dalle seeds (dvc repro works): move or clone the project into a folder whose whole path is ASCII"
    )


def data(params: "Params", root: Path) -> Iterator[Finding]:
    """The folders that params.yaml names, and the files that their layout needs."""
    from harness.data_folders import folders, layout_of, missing_files
    from harness.run_config import source_key

    for corpus, folder in folders(params).items():
        what, absent = f"data {corpus}", missing_files(corpus, root / folder, params.prepare_data)
        if not (root / folder).is_dir():
            yield Finding(level="MISSING", what=what, text=f"{folder}: no such folder ({source_key(corpus)} names it)")
        elif absent:
            yield Finding(level="MISSING", what=what, text=f"{folder} lacks {_some(absent)}")
        else:
            name = layout_of(corpus, root / folder).name
            yield Finding(level="ok", what=what, text=f"{folder} ({name}) looks whole; prepare_data reads it all and will tell")
    if not folders(params):
        yield Finding(level="ok", what="data", text="none needed, the miniature world is rendered")


def weights(features: str, file_of: Callable[[str], Path | None]) -> Finding:
    """The network that evaluate.features names; `file_of` gives None for one that needs no file."""
    file = file_of(features)
    if file is not None and not file.is_file():
        text = f"{file} of features {features} is not there: install its package again, or mend the path"
        return Finding(level="MISSING", what="weights", text=text)
    return Finding(level="ok", what="weights", text=f"of features {features}")


def start(init: str, root: Path) -> Iterator[Finding]:
    """The finished dVAE that train_dvae.init names, where it names one."""
    if init == "scratch":
        return
    absent = [name for name in ("config.json", "model.safetensors") if not (root / init / name).is_file()]
    if absent:
        text = f"{init} (train_dvae.init) lacks {_some(absent)}: dalle convert-dvae writes such a folder"
        yield Finding(level="MISSING", what="dVAE", text=text)
    else:
        yield Finding(level="ok", what="dVAE", text=f"starts from {init}")


def disk(sizes: Mapping[str, int], free: int, pairs: int | None) -> Finding:
    """What the stages will write against what is free; what they have written already is not taken off."""
    total = sum(sizes.values())
    largest = ", ".join(f"{name} {_gigabytes(size)}" for name, size in sorted(sizes.items(), key=lambda item: -item[1])[:3])
    text = f"estimated need {_gigabytes(total)} with DVC's copies ({largest}), free {_gigabytes(free)}"
    if pairs is None:
        text += "; without the tokens of the training pairs, which are not there to be counted"
    if total > free:
        text += ": make room, or lower sample.candidates or precompute_tokens.views"
        return Finding(level="MISSING", what="disk", text=text)
    return Finding(level="note" if pairs is None else "ok", what="disk", text=text)


def cores(run: "RunConfig", cores: int) -> Finding:
    """run.threads and run.data_workers against the cores that there are."""
    for name in ("threads", "data_workers"):
        if getattr(run, name) > cores:
            text = f"run.{name} is {getattr(run, name)}, this process may use {cores}: more only wait for each other"
            return Finding(level="note", what="cores", text=text)
    return Finding(level="ok", what="cores", text=f"{cores}, of which torch uses {run.threads or cores}")


def waiting(variables: Mapping[str, str]) -> Finding:
    """On a busy CPU, threads that spin while they wait make torch several times slower."""
    if variables.get("OMP_WAIT_POLICY", "").upper() == "PASSIVE":
        return Finding(level="ok", what="OpenMP", text="OMP_WAIT_POLICY=PASSIVE")
    text = "export OMP_WAIT_POLICY=PASSIVE, as make does: without it torch is several times slower on a busy CPU"
    return Finding(level="note", what="OpenMP", text=text)


def speed(counts: Mapping[str, int], device: str) -> Finding:
    """Whether the largest model is one that a CPU can train."""
    stage, count = max(counts.items(), key=lambda item: item[1])
    if device == "cuda":
        return Finding(level="ok", what="GPU", text="found")
    if count > CPU_PARAMETERS:
        return Finding(level="note", what="GPU", text=f"none found; {stage} has {count:,} parameters, weeks of work for a CPU")
    return Finding(level="ok", what="GPU", text="none found, and none needed")


def memory(needs: Mapping[str, int], device: str, memory: int) -> Finding:
    """The hungriest training against the device: parameters, moments, average and gradients, but no activations."""
    stage, need = max(needs.items(), key=lambda item: item[1])
    where = "the GPU" if device == "cuda" else "this machine"
    text = f"{where} has {_gigabytes(memory)}, {stage} needs {_gigabytes(need)} in float32, activations not counted"
    if need > memory:
        text += ": lower its width, layers or optim.shards, or take another preset"
        return Finding(level="MISSING", what="memory", text=text)
    return Finding(level="note" if need > memory / 2 else "ok", what="memory", text=text)


def _differs(version: str | None, pinned: str) -> bool:
    return version is not None and version.partition("+")[0] != pinned.partition("+")[0]


def _without_git(root: Path) -> bool:
    config = configparser.ConfigParser()
    config.read([root / ".dvc" / "config", root / ".dvc" / "config.local"])
    return config.getboolean("core", "no_scm", fallback=False)


def _some(names: list[str]) -> str:
    more = len(names) - NUM_NAMED
    return ", ".join(names[:NUM_NAMED]) + (f" and {more} more" if more > 0 else "")


def _gigabytes(size: int) -> str:
    return f"{size / GIGABYTE:,.1f} GB"
