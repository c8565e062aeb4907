"""Arms, of an ablation or one a seed, as DVC experiments, one after the other, each in a copy of the project.

An experiment's name holds a digest of all that its result depends on, so an arm is run again exactly where its parameters or
the code have changed, and what is there already stays, on whichever commit it was made.
"""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dalle.config import ConfigError
from harness.ablation_document import Arm, Document, stages_up_to
from harness.checks import non_ascii_words
from harness.failures import stop_signals_interrupt
from harness.fingerprint import digest_of, digest_of_path
from harness.freshness import Freshness
from harness.lineage import CODE_PATHS
from harness.locks import hold
from harness.params import as_text, flatten, read_yaml
from harness.pipeline import StageEntry, read_pipeline
from harness.revisions import ARM, Revision, experiment_beginning
from harness.sentences import DIVERGED, DONE, FAILED

LOGS = Path(".dvc/tmp/ablations")
NUM_DIGITS, MAX_WORDS = 10, 48  # of an experiment's name
ERROR = re.compile(r"\bERROR(?: [\w@-]+)?: (.+)$", re.MULTILINE)  # behind a progress bar it begins no line
NO_NUMBER = re.compile(r"the loss is (?:nan|-?inf) at update \d+|metric '[^']+' is (?:nan|-?inf)")  # of the loop, of a stage


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What became of an arm; `cause` says why it left no result, `experiment` is None where there is none."""

    name: str
    state: str
    cause: str = ""
    experiment: Revision | None = None


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What is to run: the arms, and the stages up to which each of them runs."""

    title: str
    base: Mapping[str, Any]  # the parameters beside which an experiment's name says what is changed
    arms: Sequence[Arm]
    targets: Sequence[str]


def run_ablation(
    document: Document, params_file: Path, pipeline_file: Path, check: Callable[[Outcome], None] = lambda outcome: None
) -> list[Outcome]:
    """The outcomes of a document's arms, see `run_arms`."""
    title = f"{len(document.arms)} arms in {len(document.groups)} groups, up to {document.target}"
    plan = Plan(title=title, base=document.arms[0].params, arms=document.arms, targets=[document.target])
    return run_arms(plan, params_file, pipeline_file, check)


def run_arms(
    plan: Plan, params_file: Path, pipeline_file: Path, check: Callable[[Outcome], None] = lambda outcome: None
) -> list[Outcome]:
    """Run what is not there yet, report each arm as it ends, and say what became of all of them.

    `check` sees every arm that has just run and raises where it makes no sense to go on.
    """
    if not str(Path.cwd()).isascii():
        print(f"WARNING: {non_ascii_words(Path.cwd())}", file=sys.stderr)
    LOGS.mkdir(parents=True, exist_ok=True)
    with hold(LOGS / "lock", what="dalle ablate or dalle seeds", wait=False), stop_signals_interrupt():
        _require_committed(plan.targets, params_file, pipeline_file)
        names = [experiment_name(plan, arm, pipeline_file) for arm in plan.arms]
        outcomes = [_known(name, plan.targets) for name in names]
        missing = [index for index, outcome in enumerate(outcomes) if outcome is None]
        print(f"{plan.title}: {len(names) - len(missing)} are there, {len(missing)} to run", flush=True)
        start = time.monotonic()
        for done, index in enumerate(missing):
            _require_committed(plan.targets, params_file, pipeline_file)  # an edit made meanwhile would be carried along
            print(f"[{done + 1}/{len(missing)}] {names[index]}", flush=True)
            outcomes[index] = _run(names[index], plan.arms[index], plan.targets)
            print(f"    {_progress(outcomes[index], time.monotonic() - start, done + 1, len(missing))}", flush=True)
            check(outcomes[index])
    return outcomes


def experiment_name(plan: Plan, arm: Arm, pipeline_file: Path) -> str:
    """`ABLATION-DIGEST-words`: the digest of the arm's parameters, of the stages and of the code that they list."""
    pipeline = read_pipeline(pipeline_file, arm.params)
    stages = _stages_up_to_all(plan.targets, pipeline)
    bodies = read_yaml(pipeline_file)["stages"]
    keys = dict.fromkeys(key for stage in stages for key in stage.params)
    used = {
        leaf: value
        for leaf, value in flatten(arm.params).items()
        if any(leaf == key or leaf.startswith(f"{key}.") for key in keys)
    }
    sources = dict.fromkeys(source for stage in stages for source in _sources(stage, pipeline))
    digest = digest_of(
        {
            "params": used,
            "stages": {stage.address: _without_words(bodies[stage.name]) for stage in stages},
            "sources": {source: digest_of_path(Path(source)) for source in sources if Path(source).exists()},
        }
    )
    return f"{ARM}{digest[:NUM_DIGITS]}-{_words(arm, plan.base)}"


def _stages_up_to_all(targets: Sequence[str], pipeline: Sequence[StageEntry]) -> tuple[StageEntry, ...]:
    found = {stage for target in targets for stage in stages_up_to(target, pipeline)}
    return tuple(stage for stage in pipeline if stage in found)


def _sources(stage: StageEntry, pipeline: Sequence[StageEntry]) -> Iterator[str]:
    """The deps that no stage makes."""
    for dep in stage.deps:
        if not any(other.writes(dep) or any(out.startswith(f"{dep}/") for out in other.outs) for other in pipeline):
            yield dep


def _without_words(body: Mapping[str, Any]) -> dict[str, Any]:
    inner = body.get("do", body)
    return {key: value for key, value in inner.items() if key != "desc"}


def _words(arm: Arm, base: Mapping[str, Any]) -> str:
    """What the arm changes in the base, readable, in the letters that git takes in a name."""
    changes = {key: value for key, value in flatten(arm.params).items() if value != flatten(base)[key]}
    words = " ".join(f"{'.'.join(key.split('.')[-2:])} {as_text(value)}" for key, value in changes.items()) or "base"
    return re.sub(r"\.\.+", ".", re.sub(r"[^A-Za-z0-9.+]+", "-", words))[:MAX_WORDS].strip("-.").removesuffix(".lock")


def _require_committed(targets: Sequence[str], params_file: Path, pipeline_file: Path) -> None:
    """An experiment starts from the working directory: with uncommitted edits no commit would tell what it ran."""
    pipeline = read_pipeline(pipeline_file, read_yaml(params_file))
    sources = dict.fromkeys(source for stage in _stages_up_to_all(targets, pipeline) for source in _sources(stage, pipeline))
    paths = [*dict.fromkeys([*CODE_PATHS, *sources, str(params_file), str(pipeline_file)])]
    status = subprocess.run(["git", "status", "--porcelain", "--", *paths], capture_output=True, text=True)
    if status.returncode != 0:
        said = " ".join(status.stderr.split())
        raise ConfigError(f"git refuses this folder, and what is run here is kept as experiments, in git: {said}")
    if status.stdout:
        edited = ", ".join(line[3:] for line in status.stdout.splitlines()[:3])
        raise ConfigError(f"uncommitted edits ({edited}): the results could not be attributed; commit or stash them first")


def _known(name: str, targets: Sequence[str]) -> Outcome | None:
    """The outcome of an arm that has run before, with just these parameters and this code."""
    if (experiment := experiment_beginning(_key(name))) is not None:
        return _of_experiment(experiment, targets)
    cause = _cause(_log(name))
    return Outcome(name=name, state=DIVERGED, cause=cause) if NO_NUMBER.search(cause) else None


def _key(name: str) -> str:
    """The part of a name that says what it is: the words after it also tell the base apart."""
    return name[: len(ARM) + NUM_DIGITS]


def _log(name: str) -> Path:
    return LOGS / f"{_key(name)}.log"


def _of_experiment(experiment: Revision, targets: Sequence[str]) -> Outcome:
    name = experiment.name
    freshness = Freshness(experiment)
    asked = [stage for target in targets for stage in _in_lock(target, experiment)]
    stale = next((why for stage in asked if (why := freshness.why_stale(stage)) is not None), None)
    if stale is not None:
        return Outcome(name=name, state=FAILED, cause=f"{stale}; 'dvc exp remove {name}' lets it run again")
    return Outcome(name=name, state=DONE, experiment=experiment)


def _in_lock(target: str, experiment: Revision) -> list[str]:
    return [stage for stage in experiment.lock if target in (stage, stage.partition("@")[0])] or [target]


def _run(name: str, arm: Arm, targets: Sequence[str]) -> Outcome:
    settings = [part for key, value in arm.changes.items() for part in ("--set-param", f"{key}={_in_hydra(value)}")]
    command = [sys.executable, "-m", "dvc", "exp", "run", "--temp", "--name", name, *settings, *targets]
    log = _log(name)
    # dvc.yaml calls `python`: let it be this one, also where no environment is activated
    environment = {**os.environ, "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])}
    with open(log, "w", encoding="utf-8") as file:
        process = subprocess.Popen(
            command, stdout=file, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, env=environment, start_new_session=True
        )
        try:
            code = process.wait()
        except KeyboardInterrupt:
            os.killpg(process.pid, signal.SIGINT)  # the stage saves what it has, and DVC takes its copy away
            process.wait()
            raise
    experiment = experiment_beginning(_key(name)) if code == 0 else None
    if experiment is not None:
        return _of_experiment(experiment, targets)
    cause = _cause(log) or f"dvc ended with {code}"
    return Outcome(name=name, state=DIVERGED if NO_NUMBER.search(cause) else FAILED, cause=cause)


def _in_hydra(value: Any) -> str:
    """A leaf as `--set-param` reads it: JSON, with text always in quotes, where nothing in it has a meaning to Hydra."""
    return json.dumps(value, ensure_ascii=False)


def _cause(log: Path) -> str:
    """The first error that a log holds: the stage's own, as DVC's come after it."""
    if not log.is_file():
        return ""
    match = ERROR.search(log.read_text(encoding="utf-8", errors="replace"))
    return match[1].strip() if match else ""


def _progress(outcome: Outcome, seconds: float, done: int, total: int) -> str:
    rest = seconds / done * (total - done)
    words = outcome.state + (f": {outcome.cause}" if outcome.cause else "")
    if outcome.state == FAILED:
        words += f" (all of it: {_log(outcome.name)})"
    return f"{words} · {duration(seconds)} so far" + (f", about {duration(rest)} to go" if done < total else "")


def duration(seconds: float) -> str:
    minutes, seconds = divmod(round(seconds), 60)
    return f"{minutes} min {seconds} s" if minutes else f"{seconds} s"
