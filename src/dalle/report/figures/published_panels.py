"""Published numbers in panels of their own: quoted from print, and never on an axis of ours."""

from importlib import resources

import pandas as pd
from matplotlib.axes import Axes

from dalle.report.frames import METRICS
from dalle.report.lines import EndLabel, curve, dashed_curve, label_ends
from dalle.report.sheet import MARGIN, Sheet
from dalle.report.style import HEADING, INK, LABEL, MUTED, NOTE, PALE, WIDTH, model_styles, points

STRIP_HEIGHT, KNEE_HEIGHT, HUMAN_HEIGHT = 322, 158, 186
BARS_LEFT, BARS_WIDTH = 640, 190
NAMES = {"cog_view": "CogView", "lafite": "LAFITE"}
NOT_OURS = "Not comparable with the numbers measured here: other data, features and model size."
SOURCES = {
    "coco": "Quoted by CogView's table, taken to be read off Fig. 9a; dashed: CogView blurs only the originals, LAFITE less.",
    "cub": "Quoted by VQ-Diffusion and by DM-GAN's code.",
}


def read_published() -> pd.DataFrame:
    """Numbers quoted in print: `domain, model, blur_radius, candidates, num_samples, metric, value, blurred, source`.

    `blurred` says what a radius means: `both` sides as in the paper, `originals_only`, or LAFITE's weaker filter.
    """
    with resources.files("dalle.report").joinpath("published.csv").open() as file:
        return pd.read_csv(file)


def published_strip(sheet: Sheet, domain: str, top: float) -> None:
    """What was published of a domain, on grey ground from `top` on, STRIP_HEIGHT high: FID over blur, scores as bars."""
    published = read_published()
    rows = published[published["domain"] == domain]
    _ground(sheet, top, STRIP_HEIGHT, "The paper's world: published numbers, not measured here")
    unblurred = rows[rows["blur_radius"] == 0]
    if rows[rows["metric"] == "fid"]["blur_radius"].nunique() > 1:
        axes = sheet.plot(MARGIN + 58, top + 66, 380, 178, title=METRICS["fid"].label, note=METRICS["fid"].note)
        fid_curves(axes, rows[rows["metric"] == "fid"])
    else:
        axes = sheet.plot(MARGIN + 120, top + 66, 240, 178, title=METRICS["fid"].label, note=METRICS["fid"].note)
        bars(axes, unblurred[unblurred["metric"] == "fid"])
    scores = unblurred[unblurred["metric"] == "inception_score"]
    axes = sheet.plot(BARS_LEFT, top + 66, BARS_WIDTH, 178, title=METRICS["inception_score"].label, note="↑")
    bars(axes, scores)
    sheet.lines(MARGIN + 14, top + STRIP_HEIGHT - 28, [SOURCES[domain], NOT_OURS], size=NOTE, colour=MUTED)


def published_knee(sheet: Sheet, top: float) -> None:
    """Where the paper's own curve over N bends, KNEE_HEIGHT high: a place and two numbers, for nobody copied the curve."""
    published = read_published()
    knee = published[published["metric"] == "rerank_knee"].iloc[0]
    end = published[(published["model"] == "dalle") & (published["domain"] == "coco") & (published["blur_radius"] == 0)]
    end = end.set_index("metric")["value"]
    _ground(sheet, top, KNEE_HEIGHT, "The paper's Fig. 9c: what is said of it in words")
    axes = sheet.plot(MARGIN + 40, top + 58, WIDTH - 2 * MARGIN - 190, 30)
    axes.plot([1, knee["value"]], [0, 0], color=INK, linewidth=points(3), solid_capstyle="butt")
    axes.plot([knee["value"], 512], [0, 0], color=INK, linewidth=points(1))
    axes.plot([knee["value"], 512], [0, 0], "o", color=INK, markersize=points(7), clip_on=False)
    words = (f"clear gains up to {knee['value']:.0f}", f"FID {end['fid']:g}, IS {end['inception_score']:g}")
    for x, said in zip((knee["value"], 512), words, strict=True):
        axes.annotate(said, (x, 0), (0, points(9)), textcoords="offset points", ha="center", size=points(LABEL))
    axes.set_xscale("log", base=2)
    axes.set_xticks([2**power for power in range(10)], [str(2**power) for power in range(10)])
    axes.minorticks_off()
    axes.set_yticks([])
    axes.grid(False)
    axes.set_xlabel("N, candidates a caption")
    sheet.lines(MARGIN + 14, top + KNEE_HEIGHT - 12, [NOT_OURS], size=NOTE, colour=MUTED)


def published_votes(sheet: Sheet, top: float) -> None:
    """The majorities of the paper's Fig. 7, HUMAN_HEIGHT high; how many votes are behind them is in its picture alone."""
    published = read_published()
    _ground(sheet, top, HUMAN_HEIGHT, "The paper's Fig. 7: published numbers, not measured here")
    for metric, title, left in (("majority_realism", "More realistic", 90), ("majority_match", "Matches the caption", 528)):
        rows = published[published["metric"] == metric]
        axes = sheet.plot(MARGIN + left, top + 64, 240, 60, title=title, note="% of captions, by majority")
        bars(axes, rows)
        axes.set_xlim(0, 100)
    captions = int(rows["num_samples"].max())
    words = f"{captions:,} MS-COCO captions, one task each for five workers; one worker was disqualified (App. F)."
    apart = "Not comparable with the votes above: people, other captions, other pictures, other models."
    sheet.lines(MARGIN + 14, top + HUMAN_HEIGHT - 28, [words, apart], size=NOTE, colour=MUTED)


def fid_curves(axes: Axes, rows: pd.DataFrame) -> None:
    """FID over blur; dashed where a radius means something else than in the paper."""
    radii = sorted(set(rows["blur_radius"]))
    labels = []
    for name, style in model_styles(rows["model"]).items():
        line = rows[rows["model"] == name].sort_values("blur_radius")
        draw = curve if (line["blurred"] == "both").all() else dashed_curve
        draw(axes, [radii.index(radius) for radius in line["blur_radius"]], line["value"], style.colour, style.marker)
        text = NAMES.get(name, style.label)
        labels.append(EndLabel(text=text, colour=style.colour, x=len(radii) - 1, y=line["value"].iloc[-1]))
    axes.set_xticks(range(len(radii)), [f"{radius:g}" for radius in radii])
    axes.set_xlim(-0.18, len(radii) - 0.9)
    axes.set_ylim(0, None)
    axes.set_xlabel("blur radius")
    label_ends(axes, labels)


def bars(axes: Axes, rows: pd.DataFrame) -> None:
    """One bar a model, its number at the end."""
    rows = rows.sort_values("value", ascending=False)
    styles = model_styles(rows["model"])
    places = range(len(rows))
    axes.barh(places, rows["value"], height=0.62, color=[styles[name].colour for name in rows["model"]])
    for place, value in zip(places, rows["value"], strict=True):
        axes.annotate(
            f"{value:.1f}", (value, place), (points(6), 0), textcoords="offset points",
            va="center_baseline", size=points(LABEL),
        )  # fmt: skip
    axes.set_yticks(places, [NAMES.get(name, styles[name].label) for name in rows["model"]], color=INK)
    axes.set_xticks([])
    axes.grid(False)
    axes.spines["bottom"].set_visible(False)
    axes.spines["left"].set_visible(True)
    axes.invert_yaxis()


def _ground(sheet: Sheet, top: float, height: float, title: str) -> None:
    sheet.box(MARGIN, top, WIDTH - 2 * MARGIN, height, PALE)
    sheet.text(MARGIN + 14, top + 24, title, size=HEADING, weight="bold")
