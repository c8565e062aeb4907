"""The paper's own scale, on a sheet of its own: published numbers are never drawn on an axis of ours."""

from importlib import resources

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from dalle.report.frames import METRICS
from dalle.report.lines import EndLabel, curve, label_ends
from dalle.report.sheet import HEADER, MARGIN, Sheet
from dalle.report.style import INK, LABEL, MUTED, NOTE, PALE, model_styles, points, styled

PLOT_HEIGHT = 290


def read_published() -> pd.DataFrame:
    """Numbers quoted in print: `domain, model, blur_radius, candidates, num_samples, metric, value, source`."""
    with resources.files("dalle.report").joinpath("published.csv").open() as file:
        return pd.read_csv(file)


@styled
def published_numbers() -> Figure:
    """FID against blur on MS-COCO, Inception score there and FID on CUB, as quoted by later papers."""
    published = read_published()
    coco, cub = published[published["domain"] == "coco"], published[published["domain"] == "cub"]
    num_captions = int(coco["num_samples"].max())
    sheet = Sheet(
        HEADER + 32 + PLOT_HEIGHT + 92,
        "The paper's world: published numbers, not measured here",
        f"DALL-E with 12 billion parameters, best of {int(coco['candidates'].max())} · {num_captions:,} MS-COCO captions · "
        "Inception features as in DM-GAN's code",
        background=PALE,
    )
    left = sheet.plot(MARGIN + 42, HEADER + 32, 400, PLOT_HEIGHT, title="MS-COCO: FID", note=METRICS["fid"].note)
    _curves(left, coco[coco["metric"] == "fid"])
    bars = ((coco, "inception_score", "MS-COCO: Inception score"), (cub, "fid", "CUB: FID"))
    for index, (rows, metric, title) in enumerate(bars):
        y = HEADER + 32 + index * (PLOT_HEIGHT + 44) / 2
        axes = sheet.plot(640, y, 190, (PLOT_HEIGHT - 44) / 2 - 6, title=title, note=METRICS[metric].note.split()[0])
        _bars(axes, rows[rows["metric"] == metric])
    notes = [
        "Not comparable with the numbers measured here: other data, features and model size.",
        "MS-COCO: as quoted by CogView (Ding et al. 2021, Table 1), taken to be read off the paper's Fig. 9a. "
        "CUB: as quoted by VQ-Diffusion and by DM-GAN's code.",
    ]
    sheet.lines(MARGIN, sheet.height - MARGIN - 14, notes, size=NOTE, colour=MUTED)
    return sheet.figure


def _curves(axes: Axes, rows: pd.DataFrame) -> None:
    radii = sorted(set(rows["blur_radius"]))
    labels = []
    for name, style in model_styles(rows["model"]).items():
        line = rows[rows["model"] == name].sort_values("blur_radius")
        curve(axes, [radii.index(radius) for radius in line["blur_radius"]], line["value"], style.colour, style.marker)
        labels.append(EndLabel(text=style.label, colour=style.colour, x=len(radii) - 1, y=line["value"].iloc[-1]))
    axes.set_xticks(range(len(radii)), [f"{radius:g}" for radius in radii])
    axes.set_xlim(-0.18, len(radii) - 0.9)
    axes.set_ylim(0, None)
    axes.set_xlabel("blur radius")
    label_ends(axes, labels)


def _bars(axes: Axes, rows: pd.DataFrame) -> None:
    rows = rows.sort_values("value", ascending=False)
    styles = model_styles(rows["model"])
    places = range(len(rows))
    axes.barh(places, rows["value"], height=0.62, color=[styles[name].colour for name in rows["model"]])
    for place, value in zip(places, rows["value"], strict=True):
        axes.annotate(
            f"{value:.1f}", (value, place), (points(6), 0), textcoords="offset points",
            va="center_baseline", size=points(LABEL),
        )  # fmt: skip
    axes.set_yticks(places, [styles[name].label for name in rows["model"]], color=INK)
    axes.set_xticks([])
    axes.grid(False)
    axes.spines["bottom"].set_visible(False)
    axes.spines["left"].set_visible(True)
    axes.invert_yaxis()
