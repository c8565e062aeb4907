"""The default's run repeated with other training seeds, and how much its numbers differ (`dalle seeds`).

The data stay as they are: stages that do not depend on `training_seed` are taken from DVC's cache. Every seed is an experiment
of its own (see `harness.ablation_runs`), so what has finished is not run again, and what was stopped goes on.
"""

import csv
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from dalle.config import ConfigError
from harness.ablation_document import TRAINING_SEED, Arm, stages_called, stages_up_to
from harness.ablation_runs import Outcome, Plan, run_arms
from harness.headline_values import Measured, of_stage, of_table
from harness.outputs import written_whole
from harness.params import load_params, read_yaml
from harness.pipeline import StageEntry, ancestors, read_pipeline
from harness.revisions import WORKSPACE, Revision
from harness.sentences import DONE
from harness.spread import Seeds
from harness.variants import Variant, variants_of_revisions

SEEDS_FILE = Path("reports/metrics/seeds.csv")
METRICS = "reports/metrics/"
COLUMNS = ("key", "mean", "standard_deviation", "num_seeds", "minimum", "maximum")
SEED_COLUMN = "seed_"


@dataclass(frozen=True, kw_only=True)
class SeedRuns:
    """What is to be run, all of it checked: `seeds` begins with the one of params.yaml, whose results are there."""

    seeds: tuple[int, ...]
    plan: Plan
    labels: tuple[str, ...]  # of the stages whose numbers are collected


def plan_seeds(number: int, targets: Sequence[str], params_file: Path, pipeline_file: Path, tree: type | None) -> SeedRuns:
    """Check the request and the results that are there; an error names the argument or the key."""
    if number < 2:
        raise ConfigError(f"N is {number}: at least 2 seeds are needed for a standard deviation, the committed one among them")
    params = read_yaml(params_file)
    load_params(params_file, tree)
    if type(params.get(TRAINING_SEED)) is not int:
        raise ConfigError(f"{params_file}: {TRAINING_SEED}: expected a whole number, got {params.get(TRAINING_SEED)!r}")
    pipeline = read_pipeline(pipeline_file, params)
    seeded = seeded_stages(pipeline)
    asked = [entry for target in targets for entry in stages_called(target, pipeline, "--targets")] or _measuring(seeded)
    for entry in asked:
        if entry not in seeded:
            raise ConfigError(f"--targets: {entry.address} does not depend on {TRAINING_SEED}: every seed would give the same")
    if not asked:
        raise ConfigError(f"{pipeline_file}: no stage with metrics depends on {TRAINING_SEED}: there is nothing to repeat")
    run = {stage for entry in asked for stage in stages_up_to(entry.address, pipeline)}
    first = params[TRAINING_SEED]
    seeds = tuple(range(first, first + number))
    arms = [Arm(params={**params, TRAINING_SEED: seed}, changes={TRAINING_SEED: seed}) for seed in seeds[1:]]
    before = {other for entry in asked for other in ancestors(pipeline, entry)}
    last = [entry.address for entry in dict.fromkeys(asked) if entry not in before]
    title = f"{number - 1} seeds beside {first}, up to {', '.join(last)}"
    return SeedRuns(
        seeds=seeds,
        plan=Plan(title=title, base=params, arms=arms, targets=last),
        labels=tuple(entry.label for entry in _measuring([entry for entry in seeded if entry in run])),
    )


def run_seeds(runs: SeedRuns, params_file: Path, pipeline_file: Path) -> list[Variant]:
    """The results of every seed in order; those that are there are not run again, and one that fails stops all."""
    workspace = Revision(WORKSPACE, None)
    _require_results(variants_of_revisions([workspace])[0], runs.labels)
    outcomes = run_arms(runs.plan, params_file, pipeline_file, check=_require_done)
    for outcome in outcomes:
        _require_done(outcome)
    experiments = [outcome.experiment for outcome in outcomes if outcome.experiment is not None]
    variants = variants_of_revisions([workspace, *experiments])
    for variant in variants:
        _require_results(variant, runs.labels)
    return variants


def seeded_stages(pipeline: Sequence[StageEntry]) -> list[StageEntry]:
    """The stages whose results the training seed can change: those that list it, and all that come after them."""
    listing = {entry for entry in pipeline if TRAINING_SEED in entry.params}
    return [entry for entry in pipeline if entry in listing or listing & set(ancestors(tuple(pipeline), entry))]


def _measuring(stages: Iterable[StageEntry]) -> list[StageEntry]:
    return [entry for entry in stages if f"{METRICS}{entry.label}.json" in entry.outs]


def _require_done(outcome: Outcome) -> None:
    if outcome.state != DONE:
        raise ConfigError(f"{outcome.name}: {outcome.state}: {outcome.cause}")


def _require_results(variant: Variant, labels: Sequence[str]) -> None:
    for label in labels:
        if label not in variant.metrics:
            why = variant.missing.get(label, f"{label} has not run")
            raise ConfigError(f"{variant.name} has no results of {label} to compare with: {why}; 'dvc repro' makes them")


def values_of(variant: Variant, labels: Sequence[str]) -> dict[str, Measured]:
    """Every headline number of some stages."""
    found: dict[str, Measured] = {}
    for label in labels:
        found |= of_stage(label, variant.metrics.get(label, {}))
        if label in variant.evaluations:
            found |= of_table(label, variant.evaluations[label])
    return found


def write_seeds(by_seed: Mapping[int, Mapping[str, float]], path: Path = SEEDS_FILE) -> int:
    """Write one row a key that any seed has, in alphabetical order, and give their number; a seed without it has a gap."""
    keys = sorted({key for values in by_seed.values() for key in values})
    with written_whole(path) as partial, open(partial, "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow([*COLUMNS, *(f"{SEED_COLUMN}{seed}" for seed in by_seed)])
        for key in keys:
            cells = [values.get(key) for values in by_seed.values()]
            some = Seeds(values=tuple(float(value) for value in cells if value is not None))
            numbers = [some.mean, some.standard_deviation, min(some.values), max(some.values)]
            mean, deviation, minimum, maximum = map(_number, numbers)
            writer.writerow([key, mean, deviation, len(some.values), minimum, maximum, *map(_number, cells)])
    return len(keys)


def read_seeds(text: str, source: str) -> dict[str, Seeds]:
    """The values by seed of every key; an error names the row. Mean and deviation are worked out again."""
    rows = list(csv.DictReader(text.splitlines()))
    columns = [column for column in (rows[0] if rows else ()) if column and column.startswith(SEED_COLUMN)]
    if not columns or "key" not in rows[0]:
        raise ConfigError(f"{source}: expected the columns key and {SEED_COLUMN}0, ...: 'dalle seeds' writes them")
    found = {}
    for number, row in enumerate(rows, start=2):
        try:
            values = tuple(float(row[column]) for column in columns if row[column])
        except (TypeError, ValueError):
            raise ConfigError(f"{source}: row {number}: a value is not a number: 'dalle seeds' writes the file anew") from None
        if not values or not all(map(math.isfinite, values)):
            raise ConfigError(f"{source}: row {number}: expected a finite number for at least one seed")
        found[row["key"]] = Seeds(values=values)
    return found


def _number(value: float | None) -> str:
    """Nine significant digits, as the evaluations' tables have; a gap for None."""
    return "" if value is None else f"{value:.9g}"
