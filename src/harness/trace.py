"""From a figure or a file back to what made it: stages, runs, commits, parameters and data (`dalle trace`)."""

import difflib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dalle.config import ConfigError
from harness.journal import journals, read_events
from harness.lineage import RunRecord, read_record
from harness.params import flatten, read_yaml
from harness.pipeline import StageEntry, ancestors, read_pipeline
from harness.presets import differences, nearest_preset, read_presets

FIGURES = Path("reports/figures")
# what each figure is drawn from, beside the report's own code; DOMAIN stands for the part of its name behind the dash
FIGURE_SOURCES: Mapping[str, tuple[str, ...]] = {
    "miniature_world": ("filter_data",),
    "filter_examples": ("prepare_data", "filter_data"),
    "reconstructions": ("filter_data", "train_dvae"),
    "train_dvae": ("train_dvae",),
    "attention_masks": ("train_prior",),
    "train_prior": ("train_prior",),
    "finetune_prior": ("finetune_prior@DOMAIN",),
    "train_dfgan": ("train_baseline@dfgan-DOMAIN",),
    "train_clip": ("train_clip",),
    "train_detector": ("train_detector",),
    "overlap": ("prepare_data", "filter_data", "find_overlap@DOMAIN"),
    "samples": (
        "prepare_data", "sample@DOMAIN", "rerank@DOMAIN", "sample_baseline@dfgan-DOMAIN", "sample_finetuned@DOMAIN",
    ),
    "best_of": ("sample@DOMAIN", "rerank@DOMAIN"),
    "memorisation": ("filter_data", "prepare_data", "evaluate@DOMAIN"),
    "rerank_curves": ("evaluate@DOMAIN",),
    "caption_accuracy": ("evaluate@DOMAIN",),
    "completion": ("prepare_data", "complete"),
    "human_evaluation": ("tally_votes",),
    "blur_curves": ("evaluate@DOMAIN",),
    "published_numbers": (),
}


@dataclass(frozen=True, kw_only=True)
class Parameters:
    """The preset that is nearest to what some stages ran with, and where they differ from it."""

    preset: str
    differing: list[str]  # key: old -> new


def figure_stages(figure: str, pipeline: tuple[StageEntry, ...]) -> tuple[StageEntry, ...]:
    """All stages behind a figure, the report itself not among them, in the pipeline's order; not every domain has each."""
    name, _, domain = figure.partition("-")
    addresses = {source.replace("DOMAIN", domain) for source in FIGURE_SOURCES[name]}
    return _with_ancestors([entry for entry in pipeline if entry.address in addresses], pipeline)


def parameters_behind(
    stages: Sequence[StageEntry], params: Mapping[str, Any], presets: Mapping[str, dict[str, Any]]
) -> Parameters:
    """`params` are leaves by dotted key, at least those that the stages list; `presets` are those of `read_presets`."""
    keys = [key for stage in stages for key in stage.params]
    used = {leaf: value for leaf, value in params.items() if any(leaf == key or leaf.startswith(f"{key}.") for key in keys)}
    name, leaves = nearest_preset(used, presets)
    known = {leaf: leaves[leaf] for leaf in used if leaf in leaves}
    return Parameters(preset=name, differing=differences(known, used))


def digests() -> dict[str, str]:
    """The md5 of every out that dvc.lock records; empty where there is none."""
    lock = Path("dvc.lock")
    stages = (read_yaml(lock) or {}).get("stages", {}) if lock.exists() else {}
    outs = [out for stage in stages.values() for out in stage.get("outs", [])]
    return {out["path"]: out["md5"].removesuffix(".dir") for out in outs if "md5" in out}


def trace(path: str, pipeline_file: Path, params_file: Path, presets: Path, root: Path) -> Iterator[str]:
    """What `dalle trace` prints of an output, a figure's name or a stage."""
    raw = read_yaml(params_file)
    pipeline = read_pipeline(pipeline_file, raw)
    title, stages = _find(path, pipeline)
    records = {stage.address: read_record(stage) for stage in stages}
    recorded = {key: value for record in records.values() if record for key, value in record.params.items()}
    found = parameters_behind(stages, {**flatten(raw), **recorded}, read_presets(presets))
    yield title
    yield from _table(records, _mlflow_runs(root, records), digests())
    if not stages:
        yield "  no stage: drawn from numbers that are part of the code"
    elif found.differing:
        yield f"parameters, those of preset {found.preset} but for"
        yield from (f"  {line}" for line in found.differing)
    else:
        yield f"parameters: those of preset {found.preset}"


def _find(path: str, pipeline: tuple[StageEntry, ...]) -> tuple[str, tuple[StageEntry, ...]]:
    """A title, and the stages behind what `path` names."""
    name = Path(path).stem if Path(path).suffix == ".png" else path
    figures = set(_figures(pipeline))
    # train_dvae is a stage and the figure of its curves: the same origin
    stage = next((stage for stage in pipeline if path in (stage.address, stage.label) or stage.writes(path)), None)
    if name in figures:
        report = tuple(entry for entry in pipeline if entry.name == "report")
        return f"{FIGURES / name}.png, drawn by the report from", figure_stages(name, pipeline) + report
    if stage is not None:
        return f"{path}, made by {stage.address}", _with_ancestors([stage], pipeline)
    outs = [out for entry in pipeline for out in entry.outs]
    near = difflib.get_close_matches(path, [*figures, *outs], n=1, cutoff=0.5)
    hint = f"did you mean '{near[0]}'?" if near else f"outputs are listed in dvc.yaml, figures are {', '.join(sorted(figures))}"
    raise ConfigError(f"{path}: no stage writes this, and no figure is called so ({hint})")


def _figures(pipeline: tuple[StageEntry, ...]) -> Iterator[str]:
    """All names: a figure of a domain is there where a stage of its own sources is."""
    addresses = {entry.address for entry in pipeline}
    domains = {entry.item for entry in pipeline if entry.name == "sample"}
    for figure, sources in FIGURE_SOURCES.items():
        of_domain = [source for source in sources if "DOMAIN" in source]
        if not of_domain:
            yield figure
        for domain in domains if of_domain else ():
            if any(source.replace("DOMAIN", domain) in addresses for source in of_domain):
                yield f"{figure}-{domain}"


def _with_ancestors(stages: Sequence[StageEntry], pipeline: tuple[StageEntry, ...]) -> tuple[StageEntry, ...]:
    found = {before for stage in stages for before in ancestors(pipeline, stage)} | set(stages)
    return tuple(entry for entry in pipeline if entry in found)


def _table(records: Mapping[str, RunRecord | None], runs: Mapping[str, str], made: Mapping[str, str]) -> Iterator[str]:
    """A line a stage: its run and commit; under it a line an input with the digest it had then."""
    for stage, record in records.items():
        if record is None:
            yield f"  {stage:20} not run here: 'dvc repro {stage}' runs it"
            continue
        run = runs[record.run] if record.run else "not tracked"
        yield f"  {stage:20} {run}  {_commit(record)}"
        for path, digest in record.data.items():
            moved = "" if made.get(path, digest) == digest else f"  (now {made[path][:12]}: this stage is out of date)"
            yield f"  {'':20} read {path} {digest[:12]}{moved}"


def _commit(record: RunRecord) -> str:
    if record.commit is None:
        return "no commit"
    state = {True: " with uncommitted edits", False: "", None: " or edited: git would not say"}[record.dirty]
    return f"commit {record.commit[:12]}{state}"


def _mlflow_runs(root: Path, records: Mapping[str, RunRecord | None]) -> dict[str, str]:
    """Where every run is, by its name: `MLflow run ID STATUS`, or why MLflow cannot say."""
    from harness.tracking import known_runs

    wanted = [record.run for record in records.values() if record and record.run]
    waiting = {event["facts"]["run"] for journal in journals(root) for event, _ in read_events(journal, 0) if "facts" in event}
    try:
        there, otherwise = known_runs(root, wanted), "not known to this MLflow"
    except Exception:  # whatever a server or a library can raise; the rest of the trace does not need it
        there, otherwise = {}, "MLflow cannot be reached"
    words = {run: "waits here for 'dalle upload'" if run in waiting else otherwise for run in wanted}
    return {run: f"MLflow run {there[run]}" if run in there else f"run {run}, {words[run]}" for run in wanted}
