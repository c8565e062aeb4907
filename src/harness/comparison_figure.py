"""A comparison as a figure: which of its metrics and curves get a panel."""

from collections.abc import Iterator, Sequence
from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from dalle.report.figures.ablation import MAX_PANELS, Mark, Panel, Trace, ablation
from dalle.report.headlines import BEST_OF_MAX, Headline, full_key, words_for
from dalle.report.legend import Candidate
from harness.comparison import Comparison
from harness.comparison_words import cautions, features_of, is_score, our_rows, protocol, title_of
from harness.params import as_text
from harness.variants import Variant

CURVES = (  # the first to be drawn first; rank among themselves, after the final metrics
    ("train_dvae", "valid/psnr_db"),
    ("train_prior", "valid/image_loss"),
    ("train_clip", "valid/loss"),
    ("train_dvae", "valid/codebook_used"),
)
FEW = 3  # final metrics that are shown before curves take their place


def comparison_figure(comparison: Comparison) -> Figure | None:
    """At most six panels: final metrics that differ, then curves; None where no two variants have anything to be drawn."""
    chosen = _panels(comparison)
    if not chosen:
        return None
    stages, panels = zip(*chosen, strict=True)
    numeric, axis = comparison.is_numeric, comparison.axis
    candidates = [_candidate(comparison, variant) for variant in comparison.variants]
    return ablation(
        candidates,
        panels,
        axis=axis or "",
        numeric=numeric,
        title=title_of(comparison),
        lines=protocol(comparison, stages),
        remarks=_remarks(comparison, panels),
    )


def _remarks(comparison: Comparison, panels: Sequence[Panel]) -> list[str]:
    marks = ["ringed, thick: the baseline"] if any(variant.is_baseline for variant in comparison.variants) else []
    if any(pd.notna(mark.low) for panel in panels for mark in panel.marks):
        marks.append("bars: ± 1 standard deviation (caption accuracy: 95 % Wilson interval)")
    parts = [" · ".join(marks)] if marks else []
    return [*parts, *cautions(comparison), *(f"Left out: {line}." for line in comparison.left_out())]


def _candidate(comparison: Comparison, variant: Variant) -> Candidate:
    """Named by its value on the axis, and by its own name where others have the same value."""
    if comparison.axis is None:
        return Candidate(label=variant.name, is_baseline=variant.is_baseline)
    value = comparison.param(variant, comparison.axis)
    alone = sum(as_text(comparison.param(other, comparison.axis)) == as_text(value) for other in comparison.variants) == 1
    words = f"{value:g}" if comparison.is_numeric else as_text(value)
    label = words if alone else f"{words}, {variant.name}"
    return Candidate(label=label, x=float(value) if comparison.is_numeric else 0.0, is_baseline=variant.is_baseline)


def _panels(comparison: Comparison) -> list[tuple[str, Panel]]:
    """Panels with the stage that each is of."""
    finals, curves = list(_final_panels(comparison)), list(_curve_panels(comparison))
    room = MAX_PANELS if comparison.is_asked else max(FEW, MAX_PANELS - len(curves))
    first = sorted((column.rank, index) for index, (column, _) in enumerate(finals))[:room]
    shown = [(finals[index][0].stage, finals[index][1]) for index in sorted(index for _, index in first)]
    return [*shown, *curves[: MAX_PANELS - len(shown)]]


def _final_panels(comparison: Comparison) -> Iterator[tuple[Headline, Panel]]:
    for column in comparison.columns:
        marks = [
            _mark(comparison, index, variant, column)
            for index, variant in enumerate(comparison.variants)
            if comparison.value(variant, column) is not None
        ]
        mixed = is_score(column) and len(features_of(comparison, column.stage)) > 1
        if len({mark.value for mark in marks}) > 1 and not mixed:
            yield column, Panel(title=column.label, notes=column.notes, marks=marks, **_scale(column))


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
    return our_rows(table, metric)[lambda rows: rows["candidates"] == int(number)]


def _curve_panels(comparison: Comparison) -> Iterator[tuple[str, Panel]]:
    """Validation curves of the trainings that differ, and FID against N, in the order in which they are worth a panel."""
    asked = [(column.stage, column.key) for column in comparison.columns if comparison.is_asked]
    wanted = [*asked, *CURVES]
    stages = dict.fromkeys(stage for variant in comparison.variants for stage in variant.evaluations)
    panels = [(stage, _training_panel(comparison, stage, key)) for stage, key in dict.fromkeys(wanted)]
    sweeps = [(stage, _sweep_panel(comparison, stage)) for stage in stages]
    both = len(asked) + 2  # a curve of each of the two trainings
    yield from (pair for pair in [*panels[:both], *sweeps, *panels[both:]] if pair[1] is not None)


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
    return Panel(title=words.label, notes=words.notes, traces=traces, x_label=f"{stage}, updates", **_scale(words))


def _sweep_panel(comparison: Comparison, stage: str) -> Panel | None:
    traces = []
    for index, variant in enumerate(comparison.variants):
        table = variant.evaluations.get(stage)
        rows = our_rows(table, "fid") if table is not None else pd.DataFrame()
        if len(rows) > 1:
            traces.append(Trace(candidate=index, x=rows["candidates"].tolist(), y=rows["value"].tolist()))
    if len({(*trace.x, *trace.y) for trace in traces}) < 2 or len(features_of(comparison, stage)) > 1:
        return None
    words = words_for(stage, f"fid/dalle{BEST_OF_MAX}")
    title, x_label = f"{words.label} over N", "N, candidates a caption"
    return Panel(title=title, notes=words.notes, traces=traces, x_label=x_label, doubling=True, **_scale(words))


def _scale(words: Headline) -> dict[str, Any]:
    return {"is_share": words.is_share, "least_span": words.least_span}
