"""What more candidates buy, metric by metric (the paper's Figure 9c), between what limits it."""

from dataclasses import dataclass

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, PercentFormatter

from dalle.report.figures.published_panels import KNEE_HEIGHT, published_knee
from dalle.report.frames import FEATURES, METRICS, class_metrics, domain_rows, metric_rows, only_value, sample_words
from dalle.report.lines import EndLabel, band, curve, dashed_curve, label_ends
from dalle.report.sheet import HEADER, MARGIN, Sheet
from dalle.report.style import INK, MODELS, MUTED, NOTE, WIDTH, points, styled

COLUMNS, LEFT, RIGHT, GAP, PLOT_HEIGHT, PITCH = 2, 50, 112, 22, 215, 307
PLOT_WIDTH = (WIDTH - 2 * MARGIN - COLUMNS * (LEFT + RIGHT) - (COLUMNS - 1) * GAP) / COLUMNS
MODEL, FLOORS = "dalle", {"dvae": "dVAE", "real": "real images"}
OVER_SUBSETS, RECONSTRUCTIONS = "_over_subsets", "reconstructions"
DISTANCES = ("fid", "kid")


@dataclass(frozen=True)
class _Panel:
    metric: str
    radius: float = 0.0


@styled
def rerank_curves(frame: pd.DataFrame, domain: str, *, dataset: str, published: bool) -> Figure:
    """Caption accuracy where it is known, Inception score, FID and KID against N; the distances at the largest radius too.

    Lines are means over random orders of the candidates, where the table has them, with rings for the order of drawing;
    otherwise that order alone. Levels are the floors: the dVAE's reconstructions and real images. Dashed lines leave out the
    reference images seen in training; dotted ones measure the distance to the dVAE's reconstructions. With `published`, what
    the paper says of its own curve stands below.
    """
    everything = domain_rows(frame, domain)
    rows = everything[everything["model"] == MODEL]
    features = only_value(metric_rows(rows, "fid"), "features")
    for metric in class_metrics(features):
        if _at(metric_rows(rows, metric), 0.0)["candidates"].nunique() < 2:
            raise ValueError(f"evaluation table: '{metric}' of {MODEL} needs at least two values in 'candidates' for a curve")
    panels = _panels(rows, features)
    num_rows = -(-len(panels) // COLUMNS)
    subtitle = f"DALL-E · {FEATURES.get(features, features)} · {sample_words(_at(metric_rows(rows, 'fid'), 0.0))} each"
    height = HEADER + 32 + num_rows * PITCH + 40
    knee = KNEE_HEIGHT + MARGIN if published and domain == "coco" else 0
    sheet = Sheet(height + knee, f"Reranking by CLIP: {dataset}", subtitle)
    for index, panel in enumerate(panels):
        x = MARGIN + LEFT + (index % COLUMNS) * (LEFT + PLOT_WIDTH + RIGHT + GAP)
        y = HEADER + 32 + (index // COLUMNS) * PITCH
        words = METRICS[panel.metric]
        where = f", blur radius {panel.radius:g}" if panel.radius else ""
        axes = sheet.plot(x, y, PLOT_WIDTH, PLOT_HEIGHT, title=words.label + where, note=words.note)
        _draw(axes, everything, panel)
    sheet.lines(MARGIN, height - MARGIN - 28, _legend(rows, panels), size=NOTE, colour=MUTED)
    if knee:
        published_knee(sheet, height)
    return sheet.figure


def _panels(rows: pd.DataFrame, features: str) -> list[_Panel]:
    """What has a curve: accuracy or, for pictures that nothing can read, the CLIP score first."""
    swept = {metric for metric, part in _at(rows, 0.0).groupby("metric") if part["candidates"].nunique() > 1}
    first = ["caption_accuracy"] if "caption_accuracy" in swept else ["clip_score"]
    names = [name for name in (*first, *class_metrics(features)[1:], *DISTANCES) if name in swept]
    panels = [_Panel(name) for name in names]
    largest = float(rows["blur_radius"].max())
    if largest > 0 and _at(metric_rows(rows, "fid"), largest)["candidates"].nunique() > 1:
        panels += [_Panel(name, largest) for name in DISTANCES if name in names]
    return panels


def _at(rows: pd.DataFrame, radius: float) -> pd.DataFrame:
    return rows[rows["blur_radius"].fillna(0) == radius]


def _legend(rows: pd.DataFrame, panels: list[_Panel]) -> list[str]:
    lines, parts = [], []
    if rows["metric"].str.endswith(OVER_SUBSETS).any():
        lines.append("without blur: the mean over random orders of the candidates, at the last N the same; rings: as drawn")
    if rows[["low", "high"]].notna().any(axis=None):
        accuracy = " (caption accuracy: 95 % Wilson interval)" if _Panel("caption_accuracy") in panels else ""
        parts.append(f"shaded: ± 1 standard deviation{accuracy}")
    if (rows["reference"] == "no_overlap").any():
        parts.append("dashed: reference images seen in training left out")
    if (rows["reference"] == RECONSTRUCTIONS).any():
        lines.append("levels: the floors, what the dVAE's reconstructions and other real images have; dotted: distance to the "
                     "reconstructions")  # fmt: skip
    return [*lines, " · ".join(parts)]


def _draw(axes: Axes, everything: pd.DataFrame, panel: _Panel) -> None:
    rows = _at(everything, panel.radius)
    ours = rows[rows["model"] == MODEL]
    drawn = [_accuracy(axes, ours)] if panel.metric == "caption_accuracy" else [_scores(axes, ours, panel.metric)]
    candidates = ours[ours["metric"] == panel.metric]["candidates"]
    if panel.metric in (*DISTANCES, "caption_accuracy"):
        drawn.append(_levels(axes, rows[rows["metric"] == panel.metric], candidates))
    axes.set_xscale("log", base=2)
    axes.set_xticks(sorted(set(candidates)), minor=False)
    axes.xaxis.set_major_formatter(FuncFormatter(lambda number, _: f"{number:g}"))
    axes.minorticks_off()
    axes.set_xlabel("N, candidates a caption")
    axes.margins(x=0.04, y=0.1)
    if panel.metric == "caption_accuracy":
        axes.set_ylim(0, 1)
        axes.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    label_ends(axes, [label for part in drawn for label in part])


def _accuracy(axes: Axes, ours: pd.DataFrame) -> list[EndLabel]:
    """CLIP's choice, any of N, and CLIP's choice for combinations never seen in training."""
    style, labels = MODELS[MODEL], []
    for metric, reference, draw, colour, words in (
        ("oracle_accuracy", "all", dashed_curve, INK, "any of N"),
        ("caption_accuracy", "heldout", dashed_curve, style.colour, "held-out"),
        ("caption_accuracy", "all", curve, style.colour, "CLIP's choice"),
    ):
        line = ours[(ours["metric"] == metric) & (ours["reference"] == reference)].sort_values("candidates")
        if len(line):
            draw(axes, line["candidates"], line["value"], colour, style.marker)
            band(axes, line["candidates"], line["low"], line["high"], colour)
            labels.append(_label(line, words, colour))
    return labels


def _scores(axes: Axes, ours: pd.DataFrame, metric: str) -> list[EndLabel]:
    style, labels = MODELS[MODEL], []
    for reference in (RECONSTRUCTIONS, "no_overlap", "all"):
        mine = ours[ours["reference"] == reference].sort_values("candidates")
        drawn, mean = mine[mine["metric"] == metric], mine[mine["metric"] == metric + OVER_SUBSETS]
        line = drawn if mean.empty else mean
        if len(line) < 2:
            continue
        if reference == RECONSTRUCTIONS:
            colour = MODELS["dvae"].colour
            axes.plot(line["candidates"], line["value"], color=colour, linewidth=points(2), linestyle=(0, (1, 1.6)), zorder=2.4)
            band(axes, line["candidates"], line["low"], line["high"], colour)
            labels.append(_label(line, "to the dVAE's", colour))
            continue
        if reference == "no_overlap":
            dashed_curve(axes, line["candidates"], line["value"], style.colour)
            continue
        band(axes, line["candidates"], line["low"], line["high"], style.colour)
        curve(axes, line["candidates"], line["value"], style.colour, style.marker)
        labels.append(_label(line, style.label, style.colour))
        if len(mean):
            ring = {"markerfacecolor": "none", "markeredgecolor": INK, "markeredgewidth": points(1), "markersize": points(9)}
            axes.plot(drawn["candidates"], drawn["value"], "o", **ring, zorder=2.7, clip_on=False)
    return labels


def _levels(axes: Axes, rows: pd.DataFrame, candidates: pd.Series) -> list[EndLabel]:
    """What the dVAE's reconstructions and real images are at, with their intervals."""
    labels, ends = [], [candidates.min(), candidates.max()]
    for name, words in FLOORS.items():
        row = rows[(rows["model"] == name) & (rows["reference"] == "all")]
        if len(row):
            value, colour = row["value"].iloc[0], MODELS[name].colour
            axes.plot(ends, [value, value], color=colour, linewidth=points(1.5), zorder=1.8)
            band(axes, ends, [row["low"].iloc[0]] * 2, [row["high"].iloc[0]] * 2, colour)
            labels.append(EndLabel(text=words, colour=colour, x=ends[1], y=value))
    return labels


def _label(line: pd.DataFrame, text: str, colour: str) -> EndLabel:
    return EndLabel(text=text, colour=colour, x=line["candidates"].iloc[-1], y=line["value"].iloc[-1])
