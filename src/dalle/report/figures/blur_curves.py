"""FID and Inception score when the finest detail is blurred away on both sides (the paper's Figures 9a and 9b)."""

from collections.abc import Mapping
from types import MappingProxyType

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from dalle.report.figures.published_panels import SOURCES, STRIP_HEIGHT, published_strip
from dalle.report.frames import (
    BLURS,
    FEATURES,
    METRICS,
    class_metrics,
    domain_rows,
    metric_rows,
    most_candidates,
    only_value,
    require_equal_samples,
    sample_words,
)
from dalle.report.lines import EndLabel, band, curve, dashed_curve, label_ends
from dalle.report.sheet import HEADER, MARGIN, Sheet
from dalle.report.style import INK, MUTED, NOTE, model_styles, points, styled

LEFT, PLOT_WIDTH, PLOT_HEIGHT, PITCH = 42, 268, 250, 434
BAR = 0.56  # of the height that a model has, where only one radius was measured


@styled
def blur_curves(
    frame: pd.DataFrame,
    domain: str,
    *,
    dataset: str,
    reference_size: int,
    published: bool,
    labels: Mapping[str, str] = MappingProxyType({}),
) -> Figure:
    """A panel a metric, a line a model, from the tidy evaluation table; `dataset` names the data in words.

    A table of one radius gives bars in the place of lines. Radii are pixels of a picture `reference_size` wide, evenly spaced.
    Each model is shown at its largest number of candidates, all at one number of images. Dashed lines leave out the reference
    images that also occur in the training set, where the table has them. With `published`, what was published of the domain
    stands below, in panels of its own. `labels` are names of models that say more than usual.
    """
    rows = domain_rows(frame, domain)
    features = only_value(metric_rows(rows, "fid"), "features")
    shown = class_metrics(features)
    for metric in shown:
        metric_rows(rows, metric)
    rows = most_candidates(rows[rows["metric"].isin(shown)])
    require_equal_samples(rows)
    radii = sorted(set(rows["blur_radius"].dropna()))
    words = f"{FEATURES.get(only_value(rows, 'features'), features)} · {sample_words(rows)} a model"
    height = HEADER + 32 + PLOT_HEIGHT + 78
    strip = STRIP_HEIGHT + MARGIN if published and domain in SOURCES else 0
    at_one = f"at blur radius {radii[0]:g}" if radii[0] else "without blur"
    title = f"Fidelity {'against blur' if len(radii) > 1 else at_one}: {dataset}"
    sheet = Sheet(height + strip, title, words + _best_of(rows))
    for index, metric in enumerate(shown):
        x = MARGIN + LEFT + index * PITCH
        axes = sheet.plot(
            x, HEADER + 32, PLOT_WIDTH, PLOT_HEIGHT, title=METRICS[metric].label, note=METRICS[metric].note
        )
        if len(radii) == 1:
            _bars(axes, rows[rows["metric"] == metric], labels)
            axes.set_xlabel(at_one)
        else:
            _panel(axes, rows[rows["metric"] == metric], radii, labels)
            axes.set_xlabel(f"blur radius (pixels of {reference_size})")
    sheet.text(MARGIN, height - MARGIN, _legend(rows, radii), size=NOTE, colour=MUTED)
    if strip:
        published_strip(sheet, domain, height)
    return sheet.figure


def _best_of(rows: pd.DataFrame) -> str:
    ours = rows[rows["model"] == "dalle"]["candidates"].dropna()
    return f" · DALL-E best of {int(ours.max())}" if len(ours) and ours.max() > 1 else ""


def _legend(rows: pd.DataFrame, radii: list[float]) -> str:
    parts = []
    if radii[-1] > 0:
        blur = only_value(rows[rows["blur_radius"] > 0], "blur_kind")
        parts.append(BLURS.get(blur, blur))
    interval, other = ("thin line", "ring") if len(radii) == 1 else ("shaded", "dashed")
    if rows[["low", "high"]].notna().any(axis=None):
        parts.append(f"{interval}: ± 1 standard deviation")
    if (rows["reference"] == "no_overlap").any():
        parts.append(f"{other}: reference images seen in training left out")
    return " · ".join(parts)


def _bars(axes: Axes, rows: pd.DataFrame, names: Mapping[str, str]) -> None:
    """A bar a model, from above in the order of the legend, its name behind the panel's end."""
    styles = model_styles(rows["model"], names)
    for place, (name, style) in enumerate(styles.items()):
        of_model = rows[rows["model"] == name]
        for row in of_model[of_model["reference"] == "all"].itertuples():
            axes.barh(place, row.value, BAR, color=style.colour)
            axes.plot([row.low, row.high], [place, place], color=INK, linewidth=points(1.4), zorder=3)
        others = of_model[of_model["reference"] == "no_overlap"]["value"]
        axes.plot(others, [place] * len(others), "o", markerfacecolor="none", markeredgecolor=INK, zorder=3)
        axes.annotate(style.label, (1.03, place), xycoords=("axes fraction", "data"), color=style.colour, va="center")
    axes.set(xlim=(0, None), ylim=(len(styles) - 0.5, -0.5))
    axes.set_yticks([])
    axes.grid(True, axis="x")


def _panel(axes: Axes, rows: pd.DataFrame, radii: list[float], names: Mapping[str, str]) -> None:
    styles = model_styles(rows["model"], names)
    labels = []
    for name in styles:
        for reference in ("no_overlap", "all"):
            line = rows[(rows["model"] == name) & (rows["reference"] == reference)].sort_values("blur_radius")
            if line.empty:
                continue
            x, style = [radii.index(radius) for radius in line["blur_radius"]], styles[name]
            if reference == "no_overlap":
                dashed_curve(axes, x, line["value"], style.colour)
            else:
                curve(axes, x, line["value"], style.colour, style.marker)
                band(axes, x, line["low"], line["high"], style.colour)
                labels.append(EndLabel(text=style.label, colour=style.colour, x=x[-1], y=line["value"].iloc[-1]))
    axes.set_xticks(range(len(radii)), [f"{radius:g}" for radius in radii])
    axes.set_xlim(-0.18, len(radii) - 1 + 0.1)
    axes.margins(y=0.08)
    label_ends(axes, labels)
