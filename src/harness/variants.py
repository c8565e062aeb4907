"""What is compared, wherever it was kept: a variant is one set of parameters with the results that are its own."""

import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from dalle.config import ConfigError
from dalle.report.results import flattened
from harness.curves import TIMED_GROUPS
from harness.freshness import Freshness
from harness.params import as_text, flatten
from harness.revisions import Revision
from harness.tracking import finished_runs, metric_history

NOT_COMPARED = "run"  # the section in which nothing may change a result
VALIDATION = "valid/"


@dataclass(frozen=True, kw_only=True)
class Variant:
    """One experiment, revision or run; every result is by the stage's label (`evaluate-coco`).

    `missing` says for each stage without results why there are none to show.
    """

    name: str
    is_baseline: bool
    place: str  # where it is kept: a commit, the working directory, MLflow
    params: Mapping[str, Any]  # leaves by dotted key
    stages: tuple[str, ...]  # in the pipeline's order
    metrics: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    curves: Mapping[str, pd.DataFrame] = field(default_factory=dict)
    evaluations: Mapping[str, pd.DataFrame] = field(default_factory=dict)
    missing: Mapping[str, str] = field(default_factory=dict)
    inputs: Mapping[str, str] = field(default_factory=dict)  # of a run: digests, as its params do not tell what came before it


def variants_of_revisions(revisions: Sequence[Revision]) -> list[Variant]:
    """One a revision; the baseline is the first that is not an experiment."""
    plain = [revision for revision in revisions if not revision.is_experiment]
    return [_variant(revision, is_baseline=revision in plain[:1]) for revision in revisions]


def variants_of_runs(client: Any, experiment: str, stage: str, workspace: Mapping[str, Any]) -> list[Variant]:
    """One a FINISHED run of `stage`, numbered by age where names repeat; the baseline has the parameters of the workspace."""
    runs = finished_runs(client, experiment, stage)
    if not runs:
        raise ConfigError(f"MLflow's '{experiment}' has no finished run of stage '{stage}' (`dalle runs` lists them)")
    names, label = [run["name"] or stage for run in runs], stage.replace("@", "-")
    now = {key: as_text(value) for key, value in flatten(workspace).items()}
    same = [index for index, run in enumerate(runs) if all(now.get(key) == text for key, text in run["params"].items())]
    return [
        Variant(
            name=name if names.count(name) == 1 else f"{name} {names[: index + 1].count(name)}",
            is_baseline=index in same[-1:],
            place="MLflow",
            params=_compared({key: _from_text(text) for key, text in sorted(run["params"].items())}),
            stages=(label,),
            metrics={label: {key: value for key, value in run["metrics"].items() if not key.startswith(TIMED_GROUPS)}},
            curves={label: _run_curves(client, run)},
            inputs=run["inputs"],
        )
        for index, (run, name) in enumerate(zip(runs, names, strict=True))
    ]


def _variant(revision: Revision, is_baseline: bool) -> Variant:
    params = _compared(flatten(revision.params))
    freshness = Freshness(revision)
    metrics, tables, missing = {}, {"metrics": {}, "curves": {}}, {}
    for stage, entry in revision.lock.items():
        label = stage.replace("@", "-")
        for path in (out["path"] for out in entry.get("outs") or []):
            if path not in _results(label):
                continue
            content = freshness.own_file(stage, path)
            if isinstance(content, str):
                missing[label] = content
            elif path.endswith(".json"):
                metrics[label] = _numbers(content, f"{revision.name}:{path}")
            else:
                tables[path.split("/")[1]][label] = pd.read_csv(io.BytesIO(content))
    return Variant(
        name=revision.name,
        is_baseline=is_baseline,
        place="the working directory" if revision.commit is None else f"commit {revision.commit[:10]}",
        params=params,
        stages=tuple(stage.replace("@", "-") for stage in revision.lock),
        metrics=metrics,
        curves=tables["curves"],
        evaluations=tables["metrics"],
        missing=missing,
    )


def _results(label: str) -> tuple[str, ...]:
    return f"reports/metrics/{label}.json", f"reports/metrics/{label}.csv", f"reports/curves/{label}.csv"


def _numbers(content: bytes, source: str) -> dict[str, float]:
    try:
        return flattened(json.loads(content))
    except (ValueError, AttributeError):
        raise ConfigError(f"{source}: expected a JSON object of metrics") from None


def _compared(leaves: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in leaves.items() if key.partition(".")[0] != NOT_COMPARED}


def _from_text(text: str) -> Any:
    """The value that `as_text` wrote."""
    try:
        return json.loads(text)
    except ValueError:
        return text


def _run_curves(client: Any, run: Mapping[str, Any]) -> pd.DataFrame:
    """The validation curves; what was reported once, at the end, is no curve."""
    keys = sorted(key for key in run["metrics"] if key.startswith(VALIDATION))
    histories = {key: metric_history(client, run["run_id"], key) for key in keys}
    columns = {key: pd.Series(points) for key, points in histories.items() if len(points) > 1}
    return pd.DataFrame(columns).rename_axis("step").sort_index().reset_index()
