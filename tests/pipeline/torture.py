"""Kill a stage again and again, in every way, and see whether anything of it shows in the end.

The tests use it for a few kills; `make torture` for many: it writes reports/benchmarks/torture.json.
"""

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import asdict, dataclass, field
from pathlib import Path

import pandas as pd
from project_copies import Project, copy_project
from ruamel.yaml import YAML

from harness.locks import is_held
from harness.tracking import connect
from harness.uploader import upload_finished

STAGES = ("prepare_data", "train_dvae", "train_prior", "train_clip", "sample@coco")
# whom the kill hits, and when
WAYS = (
    "stage",  # at a random moment
    "dvc",  # DVC alone: the stage lives on as an orphan
    "checkpoint",  # in the middle of the write of one, or between two files of one
    "disk full",  # the write of a checkpoint fails
    "uploader",  # the process that sends to MLflow, and the stage a moment later
    "terminate",  # SIGTERM, as a cluster's scheduler does
)
ATTEMPTS = 4  # to hit a stage that may end first
STATUS = {"terminate": "KILLED", "disk full": "FAILED"}  # every other way leaves no time for a word: KILLED


@dataclass
class Toll:
    """What was done to the stages and what it did to their results; all but the first should be 0."""

    kills: Counter = field(default_factory=Counter)  # that hit a living stage, by way
    outs_differing: int = 0
    points_lost: int = 0
    points_twice: int = 0
    runs_mislabelled: int = 0
    second_copies_let_in: int = 0

    def harm(self) -> dict[str, int]:
        return {name: value for name, value in asdict(self).items() if name != "kills"}


class Torture:
    """A project whose stages are run under kills and compared with those of a finished one: its own earlier ones or another's."""

    def __init__(self, project: Project, seed: int, *, like: Project | None = None) -> None:
        self.project, self.toll, self._random = project, Toll(), random.Random(seed)
        self._like = like or project
        project.edit("checkpoint_seconds: 60", "checkpoint_seconds: 0")

    def stage(self, address: str, ways: list[str]) -> None:
        """Kill `address` once in each of `ways`, let it end, and compare."""
        before, seconds = outs(self._like, address), record(self._like, address)["seconds"]
        for way in ways:
            # a stage that goes on from a checkpoint has less left to do: a moment that came too late is drawn again, earlier
            if any(self._kill(address, way, seconds / 2**attempt) for attempt in range(ATTEMPTS)):
                self.toll.kills[way] += 1
                self._check_label(address, STATUS.get(way, "KILLED"))
        done = self.project.run("dvc", "repro", "--force", "--single-item", address)
        assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
        after = outs(self.project, address)
        self.toll.outs_differing += sum(before[path] != after.get(path) for path in before)
        self._check_label(address, "FINISHED")
        self._check_points(address)

    def _kill(self, address: str, way: str, seconds: float) -> bool:
        """Whether the stage was still at work when it was hit."""
        process = subprocess.Popen(
            [sys.executable, "-m", "dvc", "repro", "--force", "--single-item", address],
            cwd=self.project.folder,
            env=self.project.environment(),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            if not self._wait_for_moment(process, address, way, seconds):
                return False
            if way == "dvc":
                process.kill()
                process.wait()
                if not self._check_second_copy(address):
                    return False
            if way == "uploader":
                kill(processes(self.project.folder, "uploader"), signal.SIGKILL)
                time.sleep(self._random.uniform(0, 0.3))
            if way != "disk full":
                kill(processes(self.project.folder, address), signal.SIGTERM if way == "terminate" else signal.SIGKILL)
            process.wait(timeout=600)
            self._wait_for_end(address)
            return not self._ended(address)
        finally:
            process.wait(timeout=600)  # not killed: DVC writes dvc.lock in place, and a kill just then cuts it off
            self._wait_for_end(address)

    def _wait_for_end(self, address: str) -> None:
        """Until no process of the stage is left; one that is ending has lost its name before it lets go of its journal."""
        deadline = time.monotonic() + 120
        while (pids := processes(self.project.folder, address)) or self._in_work(address):
            time.sleep(0.05)
            if time.monotonic() > deadline:
                kill(pids, signal.SIGKILL)

    def _wait_for_moment(self, process: subprocess.Popen, address: str, way: str, seconds: float) -> bool:
        """Whether the moment came while the stage worked; `seconds` is how long it takes when it is left alone."""
        while process.poll() is None and not self._in_work(address):
            time.sleep(0.005)
        if way in ("checkpoint", "disk full"):
            return self._wait_for_checkpoint(process, address, way)
        deadline = time.monotonic() + self._random.uniform(0, 0.9 * seconds)
        while process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.005)
        return process.poll() is None and self._in_work(address)

    def _wait_for_checkpoint(self, process: subprocess.Popen, address: str, way: str) -> bool:
        number, seen, folder = self._random.randint(1, 5), set(), self.project.folder / ".checkpoints" / label(address)
        while process.poll() is None:
            for state in _files(folder):
                try:
                    seen.add((state, state.stat().st_mtime_ns))
                except FileNotFoundError:
                    continue
                if way == "disk full":
                    full = state.parent / "state.pt.tmp"
                    full.unlink(missing_ok=True)
                    full.symlink_to("/dev/full")  # the next write of a checkpoint finds no room
                    return True
            if len(seen) >= number:
                return True
        return False

    def _in_work(self, address: str) -> bool:
        """Whether the stage's own work has begun, imports and all: it writes a journal."""
        return any(is_held(path) for path in (self.project.folder / ".tracking").glob(f"*-{label(address)}-*.jsonl"))

    def _ended(self, address: str) -> bool:
        return (self.project.folder / f"runs/{label(address)}.json").exists()  # the last thing a stage writes

    def _check_second_copy(self, address: str) -> bool:
        """While an orphan works, nobody else may: two would write the same files. It is held still meanwhile.

        Whether it still works: DVC removes the outs before it starts the second, and then nothing shows that the first had ended.
        """
        orphan = processes(self.project.folder, address)
        kill(orphan, signal.SIGSTOP)
        try:
            if self._ended(address):
                return False
            if is_held(self.project.folder / ".checkpoints" / label(address) / "lock"):  # else it had ended already
                second = self.project.run("dvc", "repro", "--force", "--single-item", address)
                self.toll.second_copies_let_in += "is already running" not in second.stderr
            return True
        finally:
            kill(orphan, signal.SIGCONT)

    def _runs(self, address: str) -> list:
        problem = upload_finished(self.project.folder)
        assert problem is None, problem
        client = connect(self.project.folder, f"sqlite:///{self.project.folder / 'mlflow.db'}")
        experiment = client.get_experiment_by_name("dalle").experiment_id
        return client.search_runs([experiment], f"tags.`dvc.stage` = '{address}'", order_by=["attributes.start_time DESC"])

    def _check_label(self, address: str, status: str) -> None:
        self.toll.runs_mislabelled += self._runs(address)[0].info.status != status

    def _check_points(self, address: str) -> None:
        """Every point of the exported curves is in MLflow, once."""
        curves = self.project.folder / "reports/curves" / f"{label(address)}.csv"
        if not curves.exists():
            return
        run = self._runs(address)[0].info.run_id
        client = connect(self.project.folder, f"sqlite:///{self.project.folder / 'mlflow.db'}")
        table = pd.read_csv(curves).set_index("step")
        for key in table:
            sent = Counter(metric.step for metric in client.get_metric_history(run, key))
            self.toll.points_lost += sum(step not in sent for step in table[key].dropna().index)
            self.toll.points_twice += sum(count - 1 for count in sent.values())


def _files(folder: Path) -> list[Path]:
    """Checkpoints, and files that are becoming one; none where the stage just ends and takes its folder with it."""
    try:
        return list(folder.glob("[!.]*/*.pt*"))
    except FileNotFoundError:
        return []


def outs(project: Project, address: str | None = None) -> dict[str, str]:
    """DVC's md5 of every out, of one stage or of all; not of `runs/`, which says when and how long."""
    stages = YAML(typ="safe").load(project.folder / "dvc.lock")["stages"]
    chosen = stages.values() if address is None else [stages[address]]
    return {out["path"]: out["md5"] for stage in chosen for out in stage["outs"] if not out["path"].startswith("runs/")}


def record(project: Project, address: str) -> dict:
    return json.loads((project.folder / f"runs/{label(address)}.json").read_text())


def label(address: str) -> str:
    return address.replace("@", "-")


def processes(folder: Path, address: str) -> list[int]:
    """Who runs a stage (or the uploader) in `folder`: the shell that DVC starts, and Python under it."""
    name = address.partition("@")[0]
    words = "harness.uploader" if name == "uploader" else f"stages.{name}"
    found = subprocess.run(["pgrep", "-f", words], capture_output=True, text=True).stdout.split()
    return [int(pid) for pid in found if working_directory(pid) == folder.resolve()]


def working_directory(pid: str) -> Path | None:
    try:
        return Path(os.readlink(f"/proc/{pid}/cwd"))
    except OSError:
        return None


def kill(pids: list[int], number: int) -> None:
    for pid in pids:
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            pass


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=4, help="of every way, for every stage")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path("reports/benchmarks/torture.json"))
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        project = copy_project(Path(folder) / "project")
        assert project.run("dvc", "repro").returncode == 0
        torture = Torture(project, options.seed)
        for number in range(options.rounds):
            for address in STAGES:
                ways = [way for way in WAYS if way not in ("checkpoint", "disk full") or address.startswith("train_")]
                torture._random.shuffle(ways)
                torture.stage(address, ways)
                toll = torture.toll
                print(f"round {number}, {address}: {sum(toll.kills.values())} kills, {toll.harm()}", flush=True)
    kills = {"total": sum(toll.kills.values()), **toll.kills}
    result = {f"kills/{way.replace(' ', '_')}": count for way, count in sorted(kills.items())}
    result |= {f"harm/{name}": count for name, count in toll.harm().items()}
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps(result, indent=2) + "\n")
    sys.exit(any(toll.harm().values()))


if __name__ == "__main__":
    main()
