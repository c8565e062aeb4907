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
MODEL, SHUFFLED = "dalle", "caption_accuracy_shuffled"
CEILINGS = ("real", "dvae")


@styled
def caption_accuracy(frame: pd.DataFrame, domain: str, *, dataset: str) -> Figure:
    """Accuracy against N for all captions and for held-out (shape, colour) combinations, with their intervals.

    Other models with this metric are drawn as levels: real images and dVAE reconstructions, which is what the reader itself
    reaches, and with their intervals other text-to-image models. A dotted level is chance, where it was measured.
    """
    everything = domain_rows(frame, domain)
    rows = metric_rows(everything, "caption_accuracy")
    ours = rows[rows["model"] == MODEL]
    if ours.empty:
        raise ValueError(f"evaluation table: no 'caption_accuracy' rows for model '{MODEL}'")
    splits = [split for split in SPLITS if (ours["reference"] == split).any()]
    numbers = [f"{sample_words(ours[ours['reference'] == split])} for {SPLITS[split]}" for split in splits]
    what = "colour of a bird's part" if domain == "cub" else "object, colour, size and relation"
    subtitle = f"an image counts when the reader finds every {what} that its caption names"
    sheet = Sheet(HEADER + 32 + PLOT_HEIGHT + 78, f"Does the image show its caption? {dataset}", subtitle)
    words = METRICS["caption_accuracy"]
    axes = sheet.plot(MARGIN + 48, HEADER + 32, PLOT_WIDTH, PLOT_HEIGHT, title=words.label, note=words.note)
    labels = [_split(axes, ours, split) for split in splits]
    labels += _levels(axes, rows[(rows["model"] != MODEL) & (rows["reference"] == "all")], ours["candidates"])
    labels += _chance(axes, everything[everything["metric"] == SHUFFLED], ours["candidates"])
    axes.set_xscale("log", base=2)
    axes.set_xticks(sorted(set(ours["candidates"])))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda number, _: f"{number:g}"))
    axes.minorticks_off()
    axes.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    axes.set_ylim(0, 1)
    axes.margins(x=0.02)
    axes.set_xlabel("N, candidates a caption (the best by CLIP is read)")
    label_ends(axes, labels)
    notes = ["shaded: 95 % Wilson interval", *numbers]
    if (everything["metric"] == SHUFFLED).any():
        notes.append("dotted: the same images beside other images' captions")
    sheet.text(MARGIN, sheet.height - MARGIN, " · ".join(notes), size=NOTE, colour=MUTED)
    return sheet.figure


def _levels(axes: Axes, others: pd.DataFrame, candidates: pd.Series) -> list[EndLabel]:
    labels, ends = [], [candidates.min(), candidates.max()]
    for name, style in model_styles(others["model"]).items():
        row = others[others["model"] == name].iloc[0]
        value = row["value"]
        axes.plot(ends, [value, value], color=style.colour, linewidth=points(1.5), zorder=1.8)
        if name not in CEILINGS:
            band(axes, ends, [row["low"]] * 2, [row["high"]] * 2, style.colour)
        labels.append(EndLabel(text=f"{style.label} {value:.1%}", colour=style.colour, x=ends[1], y=value))
    return labels


def _chance(axes: Axes, rows: pd.DataFrame, candidates: pd.Series) -> list[EndLabel]:
    labels, ends = [], [candidates.min(), candidates.max()]
    for name, style in model_styles(rows["model"]).items():
        value = rows[rows["model"] == name]["value"].iloc[0]
        axes.plot(ends, [value, value], color=style.colour, linewidth=points(1.5), linestyle=(0, (1, 2)), zorder=1.8)
        labels.append(EndLabel(text=f"{style.label}, chance {value:.1%}", colour=style.colour, x=ends[1], y=value))
    return labels


def _split(axes: Axes, ours: pd.DataFrame, split: str) -> EndLabel:
    line, style = ours[ours["reference"] == split].sort_values("candidates"), MODELS[MODEL]
    draw = curve if split == "all" else dashed_curve
    draw(axes, line["candidates"], line["value"], style.colour, style.marker)
    band(axes, line["candidates"], line["low"], line["high"], style.colour)
    value = line["value"].iloc[-1]
    return EndLabel(text=f"{SPLITS[split]} {value:.1%}", colour=style.colour, x=line["candidates"].iloc[-1], y=value)
