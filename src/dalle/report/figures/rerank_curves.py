"""What more candidates buy, metric by metric (the paper's Figure 9c)."""

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, PercentFormatter

from dalle.report.frames import FEATURES, METRICS, domain_rows, metric_rows, only_value, sample_words
from dalle.report.lines import band, curve
from dalle.report.sheet import HEADER, MARGIN, Sheet
from dalle.report.style import MODELS, MUTED, NOTE, WIDTH, styled

ALWAYS = ("fid", "inception_score")
WHERE_MEASURED = ("caption_accuracy", "clip_score")
LEFT, GAP, PLOT_HEIGHT = 44, 62, 215
MODEL = "dalle"


@styled
def rerank_curves(frame: pd.DataFrame, domain: str, *, dataset: str) -> Figure:
    """FID, Inception score and, where measured, caption accuracy and CLIP score against N, unblurred, full reference."""
    rows = domain_rows(frame, domain)
    rows = rows[(rows["model"] == MODEL) & (rows["blur_radius"].fillna(0) == 0) & (rows["reference"] == "all")]
    shown = [*ALWAYS, *(metric for metric in WHERE_MEASURED if rows[rows["metric"] == metric]["candidates"].nunique() > 1)]
    for metric in ALWAYS:
        if metric_rows(rows, metric)["candidates"].nunique() < 2:
            raise ValueError(f"evaluation table: '{metric}' of {MODEL} needs at least two values in 'candidates' for a curve")
    rows = rows[rows["metric"].isin(shown)]
    features = only_value(rows[rows["metric"].isin(ALWAYS)], "features")
    columns = len(shown) if len(shown) < 4 else 2
    plot_width = (WIDTH - 2 * MARGIN - LEFT * columns - (GAP - LEFT) * (columns - 1) - 6) / columns
    num_rows = -(-len(shown) // columns)
    pitch = PLOT_HEIGHT + 92
    subtitle = f"DALL-E · {FEATURES.get(features, features)} for FID and IS · {sample_words(rows)} each · no blur"
    sheet = Sheet(HEADER + 32 + num_rows * pitch, f"Reranking by CLIP: {dataset}", subtitle)
    for index, metric in enumerate(shown):
        x = MARGIN + LEFT + (index % columns) * (plot_width + GAP)
        y = HEADER + 32 + (index // columns) * pitch
        axes = sheet.plot(x, y, plot_width, PLOT_HEIGHT, title=METRICS[metric].label, note=_arrow(metric, columns))
        _panel(axes, rows[rows["metric"] == metric].sort_values("candidates"), metric)
    if rows[["low", "high"]].notna().any(axis=None):
        sheet.text(MARGIN, sheet.height - MARGIN, _shading(shown), size=NOTE, colour=MUTED)
    return sheet.figure


def _shading(shown: list[str]) -> str:
    accuracy = " (caption accuracy: 95 % Wilson interval)" if "caption_accuracy" in shown else ""
    return f"shaded: ± 1 standard deviation{accuracy}"


def _arrow(metric: str, columns: int) -> str:
    return METRICS[metric].note if columns < 3 else METRICS[metric].note.removesuffix(" is better")


def _panel(axes: Axes, line: pd.DataFrame, metric: str) -> None:
    style = MODELS[MODEL]
    band(axes, line["candidates"], line["low"], line["high"], style.colour)
    curve(axes, line["candidates"], line["value"], style.colour, style.marker)
    axes.set_xscale("log", base=2)
    axes.set_xticks(sorted(set(line["candidates"])), minor=False)
    axes.xaxis.set_major_formatter(FuncFormatter(lambda number, _: f"{number:g}"))
    axes.minorticks_off()
    axes.set_xlabel("N, candidates a caption")
    axes.margins(x=0.04, y=0.1)
    if metric == "caption_accuracy":
        axes.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
