"""A comparison as a figure: which panels it gets, and the words around them."""

from collections.abc import Iterator

import pandas as pd
from matplotlib.figure import Figure

from dalle.report.figures.ablation import MAX_PANELS, Candidate, Mark, Panel, Trace, ablation
from dalle.report.frames import FEATURES, METRICS, only_value, sample_words
from dalle.report.headlines import Headline, full_key, words_for
from harness.comparison import Comparison
from harness.params import as_text
from harness.variants import Variant

CURVES = (  # the first to be drawn first; rank among themselves, after the final metrics
    ("train_dvae", "valid/psnr_db"),
    ("train_prior", "valid/image_loss"),
    ("train_clip", "valid/loss"),
    ("train_dvae", "valid/codebook_used"),
)
FEW = 3  # final metrics that are shown before curves take their place
SCORES = ("fid", "inception_score", "kid")  # a number of them means something only under its features


def comparison_figure(comparison: Comparison) -> Figure | None:
    """At most six panels: final metrics that differ, then curves; None where no two variants have anything to be drawn."""
    panels = _panels(comparison)
    if not panels:
        return None
    numeric, axis = comparison.is_numeric, comparison.axis
    candidates = [_candidate(comparison, variant) for variant in comparison.variants]
    title = f"Ablation of {axis}" if axis else f"{len(candidates)} experiments"
    return ablation(
        candidates, panels, axis=axis or "", numeric=numeric, title=title, lines=protocol(comparison), remarks=_remarks(comparison)
    )


def protocol(comparison: Comparison) -> list[str]:
    """What the numbers are over: updates of each training shown, features, images and N of each domain."""
    stages = list(dict.fromkeys(column.stage for column in comparison.columns))
    trained = [words for stage in stages if (words := _updates(comparison, stage))]
    judged = [words for stage in stages if (words := _evaluation_words(comparison, stage))]
    return [*([" · ".join(trained)] if trained else []), *judged] or [f"{len(comparison.variants)} experiments"]


def cautions(comparison: Comparison) -> list[str]:
    """What the numbers must not be taken for."""
    lines = []
    fresh = [variant for variant in comparison.variants if "train_prior" in variant.metrics]
    shown = any((column.stage, column.key) == ("train_prior", "valid/image_loss") for column in comparison.columns)
    if shown and any(_differs(fresh, key) for key in comparison.differing if key.startswith(("train_dvae.", "image_size"))):
        lines.append("Image losses count the codes of each variant's own dVAE: over different codes they do not rank priors.")
    for stage in dict.fromkeys(column.stage for column in comparison.columns if _is_score(column)):
        if len(_features(comparison, stage)) > 1:
            lines.append(f"{stage}: scores under different features are on different scales, and left out of the figure.")
    others = [key for key in comparison.differing if key != comparison.axis]
    if comparison.axis and others:
        lines.append(f"Not only {comparison.axis} differs, but also {', '.join(others)}.")
    return lines


def _remarks(comparison: Comparison) -> list[str]:
    marks = ["ringed, thick: the baseline"] if any(variant.is_baseline for variant in comparison.variants) else []
    if any(pd.notna(mark.low) for panel in _panels(comparison) for mark in panel.marks):
        marks.append("bars: ± 1 standard deviation (caption accuracy: 95 % Wilson interval)")
    parts = [" · ".join(marks)] if marks else []
    return [*parts, *cautions(comparison), *(f"Left out: {line}." for line in comparison.left_out())]


def _candidate(comparison: Comparison, variant: Variant) -> Candidate:
    """Named by its value on the axis, and by its own name where others have the same value."""
    if comparison.axis is None:
        return Candidate(label=variant.name, is_baseline=variant.is_baseline)
    value = comparison.param(variant, comparison.axis)
    alone = sum(as_text(comparison.param(other, comparison.axis)) == as_text(value) for other in comparison.variants) == 1
    label = as_text(value) if alone else f"{as_text(value)}, {variant.name}"
    return Candidate(label=label, x=float(value) if comparison.is_numeric else 0.0, is_baseline=variant.is_baseline)


def _panels(comparison: Comparison) -> list[Panel]:
    finals, curves = list(_final_panels(comparison)), list(_curve_panels(comparison))
    room = MAX_PANELS if comparison.is_asked else max(FEW, MAX_PANELS - len(curves))
    first = sorted((column.rank, index) for index, (column, _) in enumerate(finals))[:room]
    shown = [finals[index][1] for index in sorted(index for _, index in first)]
    return [*shown, *curves[: MAX_PANELS - len(shown)]]


def _final_panels(comparison: Comparison) -> Iterator[tuple[Headline, Panel]]:
    for column in comparison.columns:
        marks = [
            _mark(comparison, index, variant, column)
            for index, variant in enumerate(comparison.variants)
            if comparison.value(variant, column) is not None
        ]
        mixed = _is_score(column) and len(_features(comparison, column.stage)) > 1
        if len({mark.value for mark in marks}) > 1 and not mixed:
            yield column, Panel(title=column.label, notes=column.notes, marks=marks, is_share=column.is_share)


def _mark(comparison: Comparison, index: int, variant: Variant, column: Headline) -> Mark:
    """The value with its interval, where the evaluation table has one."""
    value, rows = comparison.value(variant, column), _rows_behind(variant, column)
    low, high = (rows["low"].iloc[0], rows["high"].iloc[0]) if len(rows) == 1 else (float("nan"),) * 2
    return Mark(candidate=index, value=value, low=float(low), high=float(high))


def _rows_behind(variant: Variant, column: Headline) -> pd.DataFrame:
    table = variant.evaluations.get(column.stage)
    metric, _, rest = full_key(variant.metrics.get(column.stage, {}), column.key).partition("/")
    number = rest.removeprefix("dalle_best_of_")
    if table is None or not number.isdigit():
        return pd.DataFrame()
    return _ours(table, metric)[lambda rows: rows["candidates"] == int(number)]


def _ours(table: pd.DataFrame, metric: str) -> pd.DataFrame:
    """DALL-E's rows without blur against the full reference, by N."""
    keep = (table["model"] == "dalle") & (table["metric"] == metric) & (table["reference"] == "all")
    return table[keep & (table["blur_radius"].fillna(0) == 0)].sort_values("candidates")


def _curve_panels(comparison: Comparison) -> Iterator[Panel]:
    """Validation curves of the trainings that differ, and FID against N, in the order in which they are worth a panel."""
    asked = [(column.stage, column.key) for column in comparison.columns if comparison.is_asked]
    wanted = [*asked, *CURVES]
    stages = dict.fromkeys(stage for variant in comparison.variants for stage in variant.evaluations)
    panels = [_training_panel(comparison, stage, key) for stage, key in dict.fromkeys(wanted)]
    sweeps = [_sweep_panel(comparison, stage) for stage in stages]
    yield from (panel for panel in [*panels[: len(asked) + 2], *sweeps, *panels[len(asked) + 2 :]] if panel is not None)


def _training_panel(comparison: Comparison, stage: str, key: str) -> Panel | None:
    traces = []
    for index, variant in enumerate(comparison.variants):
        curve = variant.curves.get(stage)
        if curve is not None and key in curve and curve[key].notna().sum() > 1:
            points = curve[["step", key]].dropna()
            traces.append(Trace(candidate=index, x=points["step"].tolist(), y=points[key].tolist()))
    if len({(*trace.x, *trace.y) for trace in traces}) < 2:
        return None
    words = words_for(stage, key)
    return Panel(title=f"{words.label}", notes=words.notes, traces=traces, x_label=f"{stage}, updates", is_share=words.is_share)


def _sweep_panel(comparison: Comparison, stage: str) -> Panel | None:
    traces = []
    for index, variant in enumerate(comparison.variants):
        table = variant.evaluations.get(stage)
        rows = _ours(table, "fid") if table is not None else pd.DataFrame()
        if len(rows) > 1:
            traces.append(Trace(candidate=index, x=rows["candidates"].tolist(), y=rows["value"].tolist()))
    if len({(*trace.x, *trace.y) for trace in traces}) < 2 or len(_features(comparison, stage)) > 1:
        return None
    domain = stage.partition("-")[2]
    return Panel(
        title=f"FID on {domain}", notes=words_for(stage, "fid/dalle_best_of_max").notes, traces=traces,
        x_label="N, candidates a caption", doubling=True,
    )  # fmt: skip


def _features(comparison: Comparison, stage: str) -> set[str]:
    tables = [variant.evaluations[stage] for variant in comparison.variants if stage in variant.evaluations]
    return {only_value(rows, "features") for table in tables if len(rows := _ours(table, "fid"))}


def _is_score(column: Headline) -> bool:
    return column.stage.startswith("evaluate-") and column.key.partition("/")[0] in SCORES


def _differs(variants: list[Variant], key: str) -> bool:
    return len({as_text(variant.params.get(key)) for variant in variants}) > 1


def _updates(comparison: Comparison, stage: str) -> str:
    key = f"{stage}.optim.updates"
    numbers = sorted({variant.params[key] for variant in comparison.variants if stage in variant.metrics and key in variant.params})
    return f"{stage}: {'–'.join(f'{number:,}' for number in dict.fromkeys((numbers[0], numbers[-1])))} updates" if numbers else ""


def _evaluation_words(comparison: Comparison, stage: str) -> str:
    tables = [variant.evaluations[stage] for variant in comparison.variants if stage in variant.evaluations]
    tables = [rows for table in tables if len(rows := _ours(table, "fid"))]
    if not tables:
        return ""
    most = sorted({int(rows["candidates"].max()) for rows in tables})
    best = "–".join(str(number) for number in dict.fromkeys((most[0], most[-1])))
    features = " or ".join(FEATURES.get(name, name) for name in sorted(_features(comparison, stage)))
    return f"{stage}: {METRICS['fid'].label} over {features}, {sample_words(pd.concat(tables))}, best of {best} by CLIP"
