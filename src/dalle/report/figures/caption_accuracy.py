"""How often the image shows what its caption says, also for combinations never seen in training."""

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, PercentFormatter

from dalle.report.frames import METRICS, domain_rows, metric_rows, sample_words
from dalle.report.lines import EndLabel, band, curve, dashed_curve, label_ends
from dalle.report.sheet import HEADER, MARGIN, Sheet
from dalle.report.style import MODELS, MUTED, NOTE, model_styles, points, styled

PLOT_WIDTH, PLOT_HEIGHT = 620, 260
SPLITS = {"all": "all captions", "heldout": "held-out combinations"}
MODEL = "dalle"


@styled
def caption_accuracy(frame: pd.DataFrame, domain: str, *, dataset: str) -> Figure:
    """Accuracy against N for all captions and for held-out (shape, colour) combinations, with their intervals.

    Other models with this metric (real images, dVAE reconstructions) are drawn as levels: what the reader itself reaches.
    """
    rows = metric_rows(domain_rows(frame, domain), "caption_accuracy")
    ours = rows[rows["model"] == MODEL]
    if ours.empty:
        raise ValueError(f"evaluation table: no 'caption_accuracy' rows for model '{MODEL}'")
    splits = [split for split in SPLITS if (ours["reference"] == split).any()]
    numbers = [f"{sample_words(ours[ours['reference'] == split])} for {SPLITS[split]}" for split in splits]
    subtitle = "an image counts when the attribute reader finds every object, colour, size and relation of its caption"
    sheet = Sheet(HEADER + 32 + PLOT_HEIGHT + 78, f"Does the image show its caption? {dataset}", subtitle)
    words = METRICS["caption_accuracy"]
    axes = sheet.plot(MARGIN + 48, HEADER + 32, PLOT_WIDTH, PLOT_HEIGHT, title=words.label, note=words.note)
    labels = [_split(axes, ours, split) for split in splits]
    labels += _levels(axes, rows[(rows["model"] != MODEL) & (rows["reference"] == "all")], ours["candidates"])
    axes.set_xscale("log", base=2)
    axes.set_xticks(sorted(set(ours["candidates"])))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda number, _: f"{number:g}"))
    axes.minorticks_off()
    axes.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    axes.set_ylim(0, 1)
    axes.margins(x=0.02)
    axes.set_xlabel("N, candidates a caption (the best by CLIP is read)")
    label_ends(axes, labels)
    sheet.text(MARGIN, sheet.height - MARGIN, " · ".join(["shaded: 95 % Wilson interval", *numbers]), size=NOTE, colour=MUTED)
    return sheet.figure


def _levels(axes: Axes, others: pd.DataFrame, candidates: pd.Series) -> list[EndLabel]:
    labels, ends = [], [candidates.min(), candidates.max()]
    for name, style in model_styles(others["model"]).items():
        value = others[others["model"] == name]["value"].iloc[0]
        axes.plot(ends, [value, value], color=style.colour, linewidth=points(1.5), zorder=1.8)
        labels.append(EndLabel(text=f"{style.label} {value:.1%}", colour=style.colour, x=ends[1], y=value))
    return labels


def _split(axes: Axes, ours: pd.DataFrame, split: str) -> EndLabel:
    line, style = ours[ours["reference"] == split].sort_values("candidates"), MODELS[MODEL]
    draw = curve if split == "all" else dashed_curve
    draw(axes, line["candidates"], line["value"], style.colour, style.marker)
    band(axes, line["candidates"], line["low"], line["high"], style.colour)
    value = line["value"].iloc[-1]
    return EndLabel(text=f"{SPLITS[split]} {value:.1%}", colour=style.colour, x=line["candidates"].iloc[-1], y=value)
