"""A toy project in a temporary folder: two stages and a foreach, run by the real harness."""

import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import pytest
from toy_experiments import ToyExperiments

from harness.run_config import RunConfig
from harness.tracking import connect

SOURCES = Path(__file__).parents[2] / "src"

PARAMS = """\
# the toy's parameters
seed: 3            # of everything
run:
  experiment: toy
  device: cpu
  threads: 1
  data_workers: 0
  log_every: 1
  checkpoint_seconds: 0.0
  tracking: false
  system_metrics: false
prepare: {num_rows: 5}
train:
  updates: 12      # how long
  rate: 1.0e-4
sample:
  domains: [coco, cub]
"""

DVC_YAML = """\
stages:
  prepare:
    cmd: {python} -m stages.prepare
    deps:
      - stages/prepare.py
    params:
      - seed
      - prepare
    outs:
      - data/rows
      - runs/prepare.json
    metrics:
      - reports/metrics/prepare.json:
          cache: false
  train:
    cmd: {python} -m stages.train
    deps:
      - stages/train.py
      - data/rows
    params:
      - seed
      - train
    outs:
      - models/toy.txt
      - runs/train.json
    metrics:
      - reports/metrics/train.json:
          cache: false
    plots:
      - reports/curves/train.csv:
          cache: false
  sample:
    foreach: ${{sample.domains}}
    do:
      cmd: {python} -m stages.sample ${{item}}
      deps:
        - models/toy.txt
      params:
        - seed
      outs:
        - samples/${{item}}
        - runs/sample-${{item}}.json
"""

TREE = '''\
"""The toy's parameters."""
from dataclasses import dataclass
from harness.run_config import RunConfig

@dataclass(frozen=True, kw_only=True)
class Prepare:
    num_rows: int

@dataclass(frozen=True, kw_only=True)
class Train:
    updates: int
    rate: float

@dataclass(frozen=True, kw_only=True)
class Sample:
    domains: tuple[str, ...]

@dataclass(frozen=True, kw_only=True)
class Toy:
    seed: int
    run: RunConfig
    prepare: Prepare
    train: Train
    sample: Sample
'''

PREPARE = '''\
"""Writes a folder of rows."""
from harness.stage import run_stage
from stages.tree import Toy

def main(stage):
    with stage.output("data/rows") as folder:
        folder.mkdir()
        for row in range(stage.params.prepare.num_rows):
            (folder / f"{row}.txt").write_text(f"{stage.params.seed} {row}")
    stage.finish({"rows/total": stage.params.prepare.num_rows})

if __name__ == "__main__":
    run_stage(main, Toy)
'''

TRAIN = '''\
"""A resumable loop; TOY_PAUSE_AT=n reports update n, then waits to be killed."""
import os
import time
from pathlib import Path
from harness.stage import run_stage
from stages.tree import Toy

def main(stage):
    state = stage.checkpoint.load() or {"step": 0, "total": 0.0}
    stage.log.resume(state["step"])
    for step in range(state["step"], stage.params.train.updates):
        total = state["total"] + step * stage.params.train.rate
        stage.log(step, {"train/total": total, "time/seconds": time.time()})
        state = {"step": step + 1, "total": total}
        if os.environ.get("TOY_PAUSE_AT") == str(step):
            stage._tracker.flush()
            Path("paused").touch()
            time.sleep(60)
        if step % 4 == 3:
            stage.log.flush()
            stage.checkpoint.save(state)
    stage.throughput(updates_per_second=10.0)
    with stage.output("models/toy.txt") as path:
        path.write_text(str(state["total"]))
    stage.finish({"valid/total": state["total"]})

if __name__ == "__main__":
    run_stage(main, Toy)
'''


@dataclass(frozen=True, kw_only=True)
class Prepare:
    num_rows: int


@dataclass(frozen=True, kw_only=True)
class Train:
    updates: int
    rate: float


@dataclass(frozen=True, kw_only=True)
class Sample:
    domains: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Toy:
    seed: int
    run: RunConfig
    prepare: Prepare
    train: Train
    sample: Sample


@pytest.fixture(scope="session")
def empty_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An MLflow database without runs: creating one takes seconds, copying it none."""
    root = tmp_path_factory.mktemp("mlflow")
    connect(root)
    with closing(sqlite3.connect(root / "mlflow.db")) as database:
        database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return root / "mlflow.db"


@pytest.fixture
def toy_tree() -> type:
    return Toy


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The toy project as the working directory, with the inputs of `train` in place and tracking off."""
    root = tmp_path / "toy"
    (root / "stages").mkdir(parents=True)
    (root / "params.yaml").write_text(PARAMS)
    (root / "dvc.yaml").write_text(DVC_YAML.format(python=sys.executable))
    for name, text in (("__init__", '"""Stages."""\n'), ("tree", TREE), ("prepare", PREPARE), ("train", TRAIN)):
        (root / "stages" / f"{name}.py").write_text(text)
    (root / "data/rows").mkdir(parents=True)
    (root / "data/rows/0.txt").write_text("a row")
    monkeypatch.chdir(root)
    for name in ("DVC_ROOT", "MLFLOW_TRACKING_URI", "MLFLOW_OFF", "DALLE_TRACEBACK"):
        monkeypatch.delenv(name, raising=False)
    return root


@pytest.fixture
def tracked_project(project: Path, empty_database: Path) -> Iterator[Path]:
    """The toy project with tracking on and a database of its own."""
    shutil.copy(empty_database, project / "mlflow.db")
    params = project / "params.yaml"
    params.write_text(params.read_text().replace("tracking: false", "tracking: true"))
    yield project
    shutil.rmtree(project / ".tracking", ignore_errors=True)  # the uploader sees that and goes


@pytest.fixture
def start(project: Path) -> Callable[..., subprocess.Popen]:
    """Start a stage as DVC does: `python -m stages.NAME` in the project's folder."""

    def start_stage(name: str, **environment: str) -> subprocess.Popen:
        variables = {**os.environ, "PYTHONPATH": str(SOURCES), "OMP_WAIT_POLICY": "PASSIVE", **environment}
        command = [sys.executable, "-m", f"stages.{name}"]
        return subprocess.Popen(command, cwd=project, env=variables, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    return start_stage


@pytest.fixture
def experiments(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ToyExperiments:
    """A git repository whose baseline has run, as the working directory."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DVC_ROOT", raising=False)
    return ToyExperiments(tmp_path)
