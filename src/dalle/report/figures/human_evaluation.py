"""The paper's Fig. 7: whose picture is more realistic and whose shows the caption, by the votes of several raters."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.patches import PathPatch, Rectangle
from matplotlib.textpath import TextPath
from matplotlib.ticker import PercentFormatter
from matplotlib.transforms import Affine2D

from dalle.report.figures.published_panels import HUMAN_HEIGHT, published_votes
from dalle.report.frames import require_columns
from dalle.report.lettering import FAMILY, text_width
from dalle.report.sheet import HEADER, MARGIN, Sheet
from dalle.report.style import FAINT, HEADING, INK, LABEL, MUTED, NOTE, TITLE, WIDTH, model_styles, points, styled, tint

QUESTIONS = {"realism": "Which image is more realistic?", "match": "Which image matches the caption better?"}
PARTIES = ("ours", "rival", "neither")
COLUMNS = ("caption_id", "question", "votes", *PARTIES, "majority", "raters")
TOO_FEW, SIMULATED = "too_few", "SIMULATED"
BARS_LEFT, BARS_WIDTH, ROW_HEIGHT, BAR = 124, 548, 34, 0.7
SHARE_LEFT = BARS_LEFT + BARS_WIDTH + 18
LEAST_LABELLED = 22  # page pixels of a segment that has room for its number
ALARM = "#cf222e"


@dataclass(frozen=True, kw_only=True)
class Party:
    """One that can be voted for."""

    column: str
    label: str
    colour: str


NO_MAJORITY = "none"  # as the table says it
NOBODY = Party(column=NO_MAJORITY, label="no majority", colour=MUTED)


@styled
def human_evaluation(captions: pd.DataFrame, metrics: Mapping[str, float], *, model: str, rival: str, dataset: str) -> Figure:
    """Stacked bars of the captions by their number of votes, the majority boxed, beside the paper's shares in a panel apart.

    `captions` is the table of the stage tally_votes and `metrics` are its numbers; without votes the figure says how to get
    some. Simulated raters are said in the title and across the bars.
    """
    require_columns(captions, COLUMNS, "table of votes")
    styles = model_styles([model, rival])
    title = f"Human evaluation: {styles[model].label} against {styles[rival].label} on {dataset}"
    if not captions["votes"].sum():
        return _no_votes(title, captions["caption_id"].nunique(), metrics)
    parties = [
        Party(column="ours", label=styles[model].label, colour=styles[model].colour),
        Party(column="rival", label=styles[rival].label, colour=styles[rival].colour),
        Party(column="neither", label="neither", colour=MUTED),
    ]
    simulated, wanted = (captions["raters"] == SIMULATED).any(), int(metrics["votes/wanted_per_caption"])
    shown = {question: _shown(captions, question, parties) for question in QUESTIONS}
    heights = {question: ROW_HEIGHT * len(rows) for question, rows in shown.items()}
    top = HEADER + 30
    body = sum(heights.values()) + 98 * len(heights)
    sheet = Sheet(top + body + 42 + HUMAN_HEIGHT + MARGIN, *_heading(title, metrics, simulated))
    _legend(sheet, HEADER + 8, parties[0], wanted)
    y = top
    for question, rows in shown.items():
        decided = captions[(captions["question"] == question) & (captions["majority"] != TOO_FEW)]
        _question(sheet, y + 34, heights[question], question, decided, rows, metrics)
        y += heights[question] + 98
    sheet.lines(MARGIN, y + 14, _quality(metrics), size=NOTE, colour=MUTED)
    if simulated:
        _across(sheet, SIMULATED, top + 20, y - 24)
    published_votes(sheet, sheet.height - MARGIN - HUMAN_HEIGHT)
    return sheet.figure


def _heading(title: str, metrics: Mapping[str, float], simulated: bool) -> tuple[str, str]:
    numbers = {name: int(metrics[f"votes/{name}"]) for name in ("counted", "dropped", "checks")}
    counts = "{counted:,} votes count, {dropped:,} do not, {checks:,} were checks and repeats".format(**numbers)
    if not simulated:
        return title, f"{int(metrics['raters/counted'])} raters · {counts}"
    return title.replace("Human evaluation", "SIMULATED votes"), f"raters made of rules and noise, nobody has voted · {counts}"


def _shown(captions: pd.DataFrame, question: str, parties: list[Party]) -> list[Party]:
    """Both models, neither where it was to choose, and whatever captions are left without a majority."""
    undecided = ((captions["question"] == question) & (captions["majority"] == NO_MAJORITY)).any()
    return (parties if question == "match" else parties[:2]) + ([NOBODY] if undecided else [])


def _question(
    sheet: Sheet,
    y: float,
    height: float,
    question: str,
    decided: pd.DataFrame,
    parties: list[Party],
    metrics: Mapping[str, float],
) -> None:
    wanted = int(metrics["votes/wanted_per_caption"])
    fewer = int(metrics[f"{question}/fewer_than_all_votes"])
    note = f"{len(decided):,} captions" + (f", {fewer:,} of them with fewer than {wanted} votes" if fewer else "")
    axes = sheet.plot(BARS_LEFT, y, BARS_WIDTH, height, title=QUESTIONS[question], note=note)
    sheet.text(SHARE_LEFT, y - 12, "majority", size=LABEL, weight="bold")
    sheet.text(SHARE_LEFT + 76, y - 12, "95 % Wilson", size=LABEL, colour=MUTED)
    axes.set(xlim=(0, 1), ylim=(len(parties) - 0.5, -0.5))
    axes.spines["bottom"].set_visible(False)
    axes.tick_params(axis="x", length=0)
    axes.grid(True, axis="x")
    axes.grid(False, axis="y")
    axes.set_yticks(range(len(parties)), [party.label for party in parties], color=INK)
    axes.set_xticks(np.linspace(0, 1, 5))
    axes.xaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    if decided.empty:
        sheet.text(BARS_LEFT + BARS_WIDTH / 2, y + height / 2, "no caption has enough votes", colour=MUTED, align="center")
        return
    for place, party in enumerate(parties):
        _bar(axes, place, party, decided)
        share, low, high = (metrics[f"{question}/majority_{party.column}{end}"] for end in ("", "_low", "_high"))
        _interval(axes, place, share, low, high)
        middle = y + ROW_HEIGHT * (place + 0.5)
        beside = {"vertical": "center_baseline"}
        sheet.text(SHARE_LEFT, middle, f"{share:.1%}", size=TITLE, weight="bold", colour=party.colour, **beside)
        sheet.text(SHARE_LEFT + 76, middle, f"{low:.1%} – {high:.1%}", colour=MUTED, **beside)
    sheet.text(BARS_LEFT, y + height + 40, _agreement(question, parties[0].label, metrics), size=NOTE, colour=MUTED)


def _bar(axes: Axes, place: int, party: Party, decided: pd.DataFrame) -> None:
    """From most votes for the party to none; a box around the captions of which it has the majority."""
    if party is NOBODY:
        undecided = int((decided["majority"] == NO_MAJORITY).sum())
        axes.barh(place, undecided / len(decided), BAR, color="white", edgecolor=FAINT, linewidth=points(1), hatch="////")
        axes.text(
            undecided / len(decided) + 0.012, place, str(undecided), size=points(NOTE), color=INK, va="center_baseline"
        )
        return
    numbers = decided.groupby([party.column, "votes"]).size().reset_index(name="captions")
    numbers["share"] = numbers[party.column] / numbers["votes"]
    left, total = 0.0, len(decided)
    for row in numbers.sort_values(["share", "votes"], ascending=False).itertuples():
        width, strength = row.captions / total, _strength(row.share)
        axes.barh(place, width, BAR, left, color=tint(party.colour, strength), edgecolor="white", linewidth=points(1))
        label = str(row.captions)
        if width * BARS_WIDTH > max(LEAST_LABELLED, text_width(label, NOTE) + 8):
            ink = "white" if strength > 0.6 else INK
            axes.text(left + width / 2, place, label, size=points(NOTE), color=ink, ha="center", va="center_baseline")
        left += width
    majority = (2 * decided[party.column] > decided["votes"]).mean()
    if majority:
        corner, line = (0, place - BAR / 2), {"fill": False, "edgecolor": INK, "linewidth": points(2)}
        axes.add_patch(Rectangle(corner, majority, BAR, **line, zorder=3, clip_on=False))


def _strength(share: float) -> float:
    """Of a party's colour: its majorities dark, its minorities pale."""
    return 0.62 + 0.76 * (share - 0.5) if share > 0.5 else 0.07 + 0.5 * share


def _interval(axes: Axes, place: int, share: float, low: float, high: float) -> None:
    """Under the bar, so that it hides no segment."""
    y = place + BAR / 2 + 0.085
    axes.plot([low, high], [y, y], color=INK, linewidth=points(1.5), zorder=3, clip_on=False, solid_capstyle="butt")
    axes.plot([share], [y], "o", color=INK, markersize=points(4.5), zorder=3, clip_on=False)


def _agreement(question: str, ours: str, metrics: Mapping[str, float]) -> str:
    words = []
    if f"{question}/agreement" in metrics:
        words.append(f"two raters agree in {metrics[f'{question}/agreement']:.0%}")
    if f"{question}/alpha" in metrics:
        words.append(f"Krippendorff's α {metrics[f'{question}/alpha']:.2f}")
    share, low, high = (metrics[f"{question}/votes_ours{end}"] for end in ("", "_low", "_high"))
    words.append(f"of all votes {share:.1%} ({low:.1%} – {high:.1%}) are for {ours}")
    return " · ".join(words)


def _quality(metrics: Mapping[str, float]) -> list[str]:
    """What the raters that count show of themselves."""
    words = [f"left chosen in {metrics['side/left']:.1%} of choices of a side"]
    if "repeats/consistent" in metrics:
        answers = int(metrics["repeats/answers"])
        words.append(f"the same answer in {metrics['repeats/consistent']:.0%} of {answers:,} when a pair came again, swapped")
    if "attention/right" in metrics:
        words.append(f"attention checks {metrics['attention/right']:.0%} right")
    lines = [" · ".join(words)]
    few = [(question, int(metrics[f"{question}/too_few_votes"])) for question in QUESTIONS]
    left_out = [f"{number:,} of {question}" for question, number in few if number]
    return lines + ([f"left out, with too few votes for a majority: {', '.join(left_out)}"] if left_out else [])


def _legend(sheet: Sheet, y: float, party: Party, wanted: int) -> None:
    """The shades from all votes to none, and what the box means."""
    x = BARS_LEFT
    sheet.text(MARGIN, y + 11, "votes for it", colour=MUTED)
    for votes in range(wanted, -1, -1):
        sheet.box(x, y, 20, 14, tint(party.colour, _strength(votes / wanted)))
        if 2 * votes > wanted:
            sheet.canvas.add_patch(Rectangle((x, y), 20, 14, fill=False, edgecolor=INK, linewidth=points(1.5)))
        sheet.text(x + 26, y + 11, f"{votes}/{wanted}", size=LABEL)
        x += 62
    sheet.text(x + 8, y + 11, "boxed: more than half of the votes cast; inside: captions", colour=MUTED)


def _across(sheet: Sheet, word: str, top: float, bottom: float) -> None:
    """A word over everything between two heights, see-through, so that it can be overlooked as little as the bars below."""
    path = TextPath((0, 0), word, size=100, prop=FontProperties(family=FAMILY, weight="bold"))
    box = path.get_extents()
    width, angle = WIDTH - 8 * MARGIN, np.degrees(np.arctan2(0.62 * (bottom - top), WIDTH))
    place = (
        Affine2D()
        .translate(-(box.x0 + box.x1) / 2, -(box.y0 + box.y1) / 2)
        .scale(width / box.width, -width / box.width)  # page pixels run downwards
        .rotate_deg(-angle)
        .translate(WIDTH / 2, (top + bottom) / 2)
    )
    axes = sheet.figure.add_axes((0, 0, 1, 1), zorder=5)
    axes.set(xlim=(0, WIDTH), ylim=(sheet.height, 0))
    axes.set_axis_off()
    axes.add_patch(PathPatch(place.transform_path(path), facecolor=ALARM, edgecolor="none", alpha=0.2))


def _no_votes(title: str, num_captions: int, metrics: Mapping[str, float]) -> Figure:
    """How to get some, on the sheets that are there."""
    read = int(metrics["votes/read"])
    subtitle = f"pairs of pictures for {num_captions:,} captions, on {int(metrics['sheets/total']):,} sheets, wait for raters"
    sheet = Sheet(HEADER + 128 + HUMAN_HEIGHT + MARGIN, title, subtitle)
    sheet.text(MARGIN, HEADER + 26, f"None of {read:,} votes counts" if read else "No votes yet", size=HEADING, weight="bold")
    wanted = int(metrics["votes/wanted_per_caption"])
    why = ["Why, row by row: reports/metrics/human_eval_dropped.csv"] if read else []
    lines = [
        *why,
        f"1. Give each page of human_eval/sheets to one rater: {wanted} pages show the same pairs, for {wanted} raters.",
        "2. Put the CSV that a page exports into reports/human_eval/votes.",
        "3. Run dvc repro: votes are checked and tallied, and this figure is drawn from them.",
    ]
    sheet.lines(MARGIN, HEADER + 52, lines, colour=INK)
    published_votes(sheet, sheet.height - MARGIN - HUMAN_HEIGHT)
    return sheet.figure
