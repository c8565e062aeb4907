"""An ablation in writing: table.csv, figure.png, findings.json and the page, beside the document that asked for it."""

import csv
import io
import shlex
from collections.abc import Iterator
from pathlib import Path

from matplotlib.figure import Figure

from dalle.config import ConfigError
from dalle.report.ablations import FIGURE, FINDINGS, PAGE, Finding, findings_table, findings_text
from dalle.report.figures.ablation_grid import Column, Row, Tick, ablation_grid
from dalle.report.headlines import NOTES, Headline
from dalle.report.page import Markdown, PageFigure, Section, Table, write_page
from dalle.report.style import save_figure
from harness.ablation_document import DOCUMENT, Group
from harness.ablation_results import AblationResults, shown
from harness.ablation_runs import duration
from harness.comparison_page import ARROWS, STALE
from harness.outputs import written_whole
from harness.params import as_text
from harness.presets import active_preset
from harness.sentences import DONE
from harness.variants import NOT_COMPARED

TABLE = "table.csv"


def terminal_lines(results: AblationResults) -> Iterator[str]:
    """The verdicts, then the arms that left no result."""
    for sentence, verdict in results.verdicts():
        yield f"{verdict.verdict:20} {sentence.says}: {verdict.numbers}"
    yield from _stopped(results)


def write_ablation(results: AblationResults, folder: Path, presets: Path) -> None:
    """Replace the four files; what else lies in the folder stays."""
    if not results.variants:
        raise ConfigError(f"{folder}: no arm has left a result: {'; '.join(_stopped(results))}")
    findings = [
        Finding(says=sentence.says, source=sentence.source, verdict=verdict.verdict, numbers=verdict.numbers)
        for sentence, verdict in results.verdicts()
    ]
    document = results.document
    with written_whole(folder / TABLE) as path:
        path.write_text(csv_text(results), encoding="utf-8", newline="")
    save_figure(ablation_figure(results), folder / FIGURE)
    with written_whole(folder / FINDINGS) as path:
        path.write_text(findings_text(document.title, "; ".join(_protocol(results)), findings), encoding="utf-8")
    write_page(folder / PAGE, document.title, document.question, _sections(results, findings, folder, presets))


def csv_text(results: AblationResults) -> str:
    """A line for every arm in every group; what is not there is empty."""
    document = results.document
    keys = list(dict.fromkeys(key for arm in document.arms for key in arm.changes))
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    fixed = ["group", "arm", "base", "outcome", "experiment", "commit", "seconds"]
    writer.writerow([*fixed, *keys, *(metric.address for metric in document.metrics)])
    for group in _groups(results):
        for place in group.places:
            outcome, changes = results.outcomes[place.arm], document.arms[place.arm].changes
            commit = outcome.experiment.parent if outcome.experiment else ""
            own = [as_text(changes[key]) if key in changes else "" for key in keys]
            numbers = [_number(results.value(place.arm, metric)) for metric in document.metrics]
            seconds = f"{results.seconds[place.arm]:.1f}" if place.arm in results.seconds else ""
            base = str(place.arm == 0).lower()
            writer.writerow([group.title, place.label, base, outcome.state, outcome.name, commit, seconds, *own, *numbers])
    return text.getvalue()


def ablation_figure(results: AblationResults) -> Figure:
    document = results.document
    columns = [
        Column(
            title=group.title,
            axis="" if _short(group.param) == group.title else _short(group.param),
            ticks=[
                Tick(
                    label=place.label,
                    x=place.x,
                    is_base=place.arm == 0,
                    stopped="" if results.outcomes[place.arm].state == DONE else results.outcomes[place.arm].state,
                )
                for place in group.places
            ],
        )
        for group in document.groups
    ]
    rows = [
        Row(
            title=metric.label,
            note=", ".join(part for part in (metric.unit, NOTES[metric.better]) if part),
            values=[[results.value(place.arm, metric) for place in group.places] for group in document.groups],
            base=results.value(0, metric),
            spread=results.spread(metric),
            is_share=metric.is_share,
            least_span=metric.least_span,
        )
        for metric in document.metrics
    ]
    return ablation_grid(columns, rows, title=document.title, lines=["; ".join(_protocol(results))], remarks=[])


def _sections(results: AblationResults, findings: list[Finding], folder: Path, presets: Path) -> Iterator[Section]:
    document, protocol = results.document, _protocol(results)
    if findings:
        yield Section(title="Findings", text=[_noise(results)], tables=[findings_table(findings)])
    caption = f"Each column changes one thing in the same base; rows share an axis. {'; '.join(protocol)}."
    figure = PageFigure(file=folder / FIGURE, title=document.title, caption=caption, origin=None)
    yield Section(title="Figure", figures=[figure])
    for group in _groups(results):
        also = ", ".join(f"{key} = {as_text(value)}" for key, value in group.also.items())
        words = [f"{group.param} is varied." if group.param else "", f"In every arm {also}." if also else ""]
        yield Section(title=group.title, text=[text for text in words if text], tables=[_group_table(results, group)])
    yield Section(title="How it was made", text=list(_origin(results, folder, presets)))


def _group_table(results: AblationResults, group: Group) -> Table:
    metrics = results.document.metrics
    header = ["", *(f"{metric.label}{ARROWS[metric.better]}" for metric in metrics), "seconds"]
    rows = []
    for place in group.places:
        name = place.label + (" (base)" if place.arm == 0 else "")
        state = results.outcomes[place.arm].state
        if state != DONE:
            rows.append([name, state, *[STALE] * (len(metrics) - 1), ""])
            continue
        seconds = f"{results.seconds[place.arm]:.0f}" if place.arm in results.seconds else ""
        rows.append([name, *(_cell(results.value(place.arm, metric), metric) for metric in metrics), seconds])
    return Table(header=header, rows=rows, numbers=header[1:])


def _origin(results: AblationResults, folder: Path, presets: Path) -> Iterator[str]:
    document = results.document
    yield Markdown(f"[{DOCUMENT}]({DOCUMENT}) says what is varied.\n\n```\n{shlex.join(['dalle', 'ablate', str(folder)])}\n```")
    yield f"Base: {_base_words(results, presets)}."
    commits: dict[str, int] = {}
    for outcome in results.outcomes:
        if outcome.experiment is not None:
            commits[outcome.experiment.parent] = commits.get(outcome.experiment.parent, 0) + 1
    told = ", ".join(f"{number} at {commit}" for commit, number in commits.items())
    yield f"{len(results.variants)} of {len(document.arms)} arms left results; commits they were run from: {told}."
    if results.seconds:
        times = sorted(results.seconds.values())
        yield f"{times[0]:.0f} to {times[-1]:.0f} seconds a run, {duration(sum(times))} in all."
    yield from _stopped(results)


def _base_words(results: AblationResults, presets: Path) -> str:
    """The preset that the base is nearest to, and each parameter in which it is not that preset."""
    try:
        name, lines = active_preset(results.document.arms[0].params, presets)
    except ConfigError:  # a project without presets
        name, lines = "", [f"{key}: {as_text(value)}" for key, value in results.document.base.items()]
    own = [line for line in lines if line.partition(".")[0] != NOT_COMPARED]
    return (f"preset {name}" if name else "params.yaml") + (f", but for {', '.join(own)}" if own else "")


def _protocol(results: AblationResults) -> list[str]:
    """What the numbers are over: the updates of each training, one seed or several."""
    trainings = dict.fromkeys(metric.stage for metric in results.document.metrics)
    words = []
    for stage in trainings:
        keys = {variant.params.get(f"{stage}.optim.updates") for variant in results.variants.values()} - {None}
        if keys:
            words.append(f"{stage}: {'–'.join(f'{number:,}' for number in sorted({min(keys), max(keys)}))} updates")
    seeds = len(results.document.seeds)
    return [" · ".join(words) or results.document.target, f"{seeds} seeds of the base" if seeds else "one seed"]


def _noise(results: AblationResults) -> str:
    if not results.document.seeds:
        return "One seed: how much of a difference is noise was not measured."
    spreads = [(metric, results.spread(metric)) for metric in results.document.metrics]
    told = [f"{metric.label} {shown(spread, metric)}" for metric, spread in spreads if spread]
    if not told:
        return "The seeds of the base left no two values to compare: how much of a difference is noise is not known."
    seeds = len(results.document.seeds)
    noise = f"Two standard deviations of a difference, from {seeds} seeds of the base"
    return f"{noise}: {', '.join(told)}. Smaller ones are not judged."


def _groups(results: AblationResults) -> list[Group]:
    seeds = results.document.seeds
    return [*results.document.groups, *([Group(title="seeds", param="seed", also={}, places=seeds)] if seeds else [])]


def _stopped(results: AblationResults) -> list[str]:
    return [f"{outcome.name} {outcome.state}: {outcome.cause}" for outcome in results.outcomes if outcome.state != DONE]


def _short(key: str) -> str:
    """`beta.end` of `train_dvae.beta.end`: the page has the whole of it."""
    return ".".join(key.split(".")[1:][-2:]) or key


def _cell(value: float | None, metric: Headline) -> str:
    return "" if value is None else shown(value, metric)


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.6g}"
