"""What more candidates buy, metric by metric (the paper's Figure 9c)."""

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, PercentFormatter

from dalle.report.figures.published_panels import KNEE_HEIGHT, published_knee
from dalle.report.frames import FEATURES, METRICS, class_metrics, domain_rows, metric_rows, only_value, sample_words
from dalle.report.lines import band, curve, dashed_curve
from dalle.report.sheet import HEADER, MARGIN, Sheet
from dalle.report.style import INK, MODELS, MUTED, NOTE, WIDTH, points, styled

WHERE_MEASURED = ("caption_accuracy", "clip_score")
LEFT, GAP, PLOT_HEIGHT = 44, 62, 215
MODEL = "dalle"
OVER_SUBSETS = "_over_subsets"


@styled
def rerank_curves(frame: pd.DataFrame, domain: str, *, dataset: str, published: bool) -> Figure:
    """FID, Inception score and, where measured, caption accuracy and CLIP score against N, unblurred.

    Lines are means over random orders of the candidates, where the table has them, with rings for the order of drawing;
    otherwise that order alone. Dashed lines leave out the reference images seen in training. With `published`, what the paper
    says of its own curve stands below.
    """
    rows = domain_rows(frame, domain)
    rows = rows[(rows["model"] == MODEL) & (rows["blur_radius"].fillna(0) == 0)]
    rows = rows[rows["reference"].isin(("all", "no_overlap"))]
    features = only_value(metric_rows(rows, "fid"), "features")
    always = class_metrics(features)
    shown = [*always, *(metric for metric in WHERE_MEASURED if rows[rows["metric"] == metric]["candidates"].nunique() > 1)]
    for metric in always:
        if metric_rows(rows, metric)["candidates"].nunique() < 2:
            raise ValueError(f"evaluation table: '{metric}' of {MODEL} needs at least two values in 'candidates' for a curve")
    rows = rows[rows["metric"].str.removesuffix(OVER_SUBSETS).isin(shown)]
    columns = len(shown) if len(shown) < 4 else 2
    plot_width = (WIDTH - 2 * MARGIN - LEFT * columns - (GAP - LEFT) * (columns - 1) - 6) / columns
    num_rows = -(-len(shown) // columns)
    pitch = PLOT_HEIGHT + 92
    subtitle = f"DALL-E · {FEATURES.get(features, features)} for {_names(always)} · {sample_words(rows)} each · no blur"
    height = HEADER + 32 + num_rows * pitch + 14
    knee = KNEE_HEIGHT + MARGIN if published and domain == "coco" else 0
    sheet = Sheet(height + knee, f"Reranking by CLIP: {dataset}", subtitle)
    for index, metric in enumerate(shown):
        x = MARGIN + LEFT + (index % columns) * (plot_width + GAP)
        y = HEADER + 32 + (index // columns) * pitch
        axes = sheet.plot(x, y, plot_width, PLOT_HEIGHT, title=METRICS[metric].label, note=_arrow(metric, columns))
        _panel(axes, rows, metric)
    sheet.lines(MARGIN, height - MARGIN - 14, _legend(rows, shown), size=NOTE, colour=MUTED)
    if knee:
        published_knee(sheet, height)
    return sheet.figure


def _names(metrics: tuple[str, ...]) -> str:
    return " and ".join({"fid": "FID", "inception_score": "IS"}[metric] for metric in metrics)


def _legend(rows: pd.DataFrame, shown: list[str]) -> list[str]:
    lines, parts = [], []
    if rows["metric"].str.endswith(OVER_SUBSETS).any():
        scores = _names(class_metrics(only_value(rows[rows["metric"] == "fid"], "features")))
        lines.append(f"{scores}: the mean over random orders of the candidates, at the last N the same; rings: as drawn")
    if rows[["low", "high"]].notna().any(axis=None):
        accuracy = " (caption accuracy: 95 % Wilson interval)" if "caption_accuracy" in shown else ""
        parts.append(f"shaded: ± 1 standard deviation{accuracy}")
    if (rows["reference"] == "no_overlap").any():
        parts.append("dashed: reference images seen in training left out")
    return [*lines, " · ".join(parts)]


def _arrow(metric: str, columns: int) -> str:
    return METRICS[metric].note if columns < 3 else METRICS[metric].note.removesuffix(" is better")


def _panel(axes: Axes, rows: pd.DataFrame, metric: str) -> None:
    style = MODELS[MODEL]
    for reference in ("no_overlap", "all"):
        mine = rows[rows["reference"] == reference].sort_values("candidates")
        drawn, mean = mine[mine["metric"] == metric], mine[mine["metric"] == metric + OVER_SUBSETS]
        line = drawn if mean.empty else mean
        if len(line) < 2:
            continue
        if reference == "no_overlap":
            dashed_curve(axes, line["candidates"], line["value"], style.colour)
            continue
        band(axes, line["candidates"], line["low"], line["high"], style.colour)
        curve(axes, line["candidates"], line["value"], style.colour, style.marker)
        if len(mean):
            ring = {"markerfacecolor": "none", "markeredgecolor": INK, "markeredgewidth": points(1), "markersize": points(9)}
            axes.plot(drawn["candidates"], drawn["value"], "o", **ring, zorder=2.7, clip_on=False)
    axes.set_xscale("log", base=2)
    axes.set_xticks(sorted(set(rows[rows["metric"] == metric]["candidates"])), minor=False)
    axes.xaxis.set_major_formatter(FuncFormatter(lambda number, _: f"{number:g}"))
    axes.minorticks_off()
    axes.set_xlabel("N, candidates a caption")
    axes.margins(x=0.04, y=0.1)
    if metric == "caption_accuracy":
        axes.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
