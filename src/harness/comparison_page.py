"""A comparison in writing: aligned text for the terminal; a folder with table.csv, figure.png and the page around them."""

import csv
import io
from collections.abc import Sequence
from pathlib import Path

from dalle.config import ConfigError
from dalle.report.headlines import BEST_OF_MAX, Headline, full_key
from dalle.report.page import Markdown, PageFigure, Section, Table, escape, write_page
from dalle.report.style import save_figure
from harness.comparison import Comparison
from harness.comparison_figure import comparison_figure
from harness.comparison_words import cautions, protocol, title_of
from harness.outputs import written_whole
from harness.params import as_text
from harness.presets import active_preset
from harness.variants import NOT_COMPARED, Variant

TABLE, FIGURE, PAGE = "table.csv", "figure.png", "README.md"
STALE = "—"
MAX_PARAMS = 6  # columns of parameters in what is read; table.csv has them all
ARROWS = {"higher": " ↑", "lower": " ↓", "zero": " → 0", "": ""}


def terminal_text(comparison: Comparison) -> str:
    """The table under three lines of headings, then what to mind."""
    header, rows = _header(comparison), [_cells(comparison, variant) for variant in comparison.variants]
    lines = [*map(list, zip(*header, strict=True)), *rows]
    widths = [max(len(line[column]) for line in lines) for column in range(len(header))]
    right = [column > len(_shown_params(comparison)) for column in range(len(header))]
    aligned = [
        "  ".join(f"{cell:{'>' if flush else '<'}{width}}" for cell, width, flush in zip(line, widths, right, strict=True))
        for line in lines
    ]
    return "\n".join([*(line.rstrip() for line in aligned), "", *_remarks(comparison)]).rstrip() + "\n"


def write_comparison(comparison: Comparison, folder: Path, *, command: str, preset: str) -> None:
    """Replace `folder` by the three files; a folder that holds anything else is refused, because it would be lost."""
    names = {path.name for path in folder.iterdir()} if folder.is_dir() else set()
    others = sorted(names - {TABLE, FIGURE, PAGE}) or sorted(names)[: TABLE not in names]  # a page alone is not ours
    if others or folder.is_file():
        raise ConfigError(f"--out {folder}: {f'it holds {others[0]}' if others else 'it is a file'}; name a folder of its own")
    with written_whole(folder) as partial:
        partial.mkdir()
        (partial / TABLE).write_text(csv_text(comparison), encoding="utf-8", newline="")
        figure = comparison_figure(comparison)
        if figure is not None:
            save_figure(figure, partial / FIGURE)
        _write_page(comparison, partial, has_figure=figure is not None, command=command, preset=preset)


def csv_text(comparison: Comparison) -> str:
    """Every parameter that differs and every metric in full; without a result the cell is empty, and `stale` says where."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    columns = comparison.columns
    writer.writerow(["name", "place", "baseline", *comparison.differing, *(column.address for column in columns), "stale"])
    for variant in comparison.variants:
        params = [as_text(comparison.param(variant, key)) for key in comparison.differing]
        values = [comparison.value(variant, column) for column in columns]
        stale = dict.fromkeys(column.stage for column in columns if comparison.is_missing(variant, column))
        numbers = ["" if value is None else f"{value:.6g}" for value in values]
        baseline = str(variant.is_baseline).lower()
        writer.writerow([variant.name, variant.place, baseline, *params, *numbers, " ".join(stale)])
    return text.getvalue()


def preset_words(variant: Variant, folder: Path) -> str:
    """Which preset the parameters of a variant are, or in what they are not the nearest one's; empty without presets."""
    try:
        name, lines = active_preset(variant.params, folder)
    except ConfigError:
        return ""
    keys = [key for key in (line.partition(":")[0] for line in lines) if key.partition(".")[0] != NOT_COMPARED]
    differing = ", ".join(keys) if len(keys) <= 3 else f"{len(keys)} parameters"
    return f"{variant.name}: preset {name}" + (f" but for {differing}" if keys else "")


def _write_page(comparison: Comparison, folder: Path, *, has_figure: bool, command: str, preset: str) -> None:
    title = title_of(comparison)
    shown = [f"{column.stage} {'/'.join(_metric_words(comparison, column))}" for column in _shown_columns(comparison)]
    header = ["", *_shown_params(comparison), *shown]
    table = Table(
        header=header,
        rows=[_cells(comparison, variant) for variant in comparison.variants],
        numbers=header[len(_shown_params(comparison)) + 1 :],
    )
    remarks = "\n".join(f"- {escape(line)}" for line in _remarks(comparison))
    sections = [Section(title="Results", text=[Markdown(remarks)] if remarks else [], tables=[table])]
    if has_figure:
        caption = "; ".join(["Final metrics, and the curves that differ", *protocol(comparison)]) + "."
        figure = PageFigure(file=folder / FIGURE, title=title, caption=caption, origin=None)
        sections.append(Section(title="Figure", figures=[figure]))
    places = "; ".join(f"{variant.name}: {variant.place}" for variant in comparison.variants)
    sections.append(Section(title="How it was made", text=[Markdown(f"```\n{command}\n```"), places]))
    write_page(folder / PAGE, title, "; ".join([*protocol(comparison), *([preset] if preset else [])]) + ".", sections)


def _remarks(comparison: Comparison) -> list[str]:
    lines = list(cautions(comparison))
    if hidden := comparison.differing[MAX_PARAMS:]:
        lines.append(f"{len(hidden)} more parameters differ ({TABLE} has them): {', '.join(hidden)}.")
    if same := comparison.same_everywhere():
        first = comparison.variants[0]
        lines.append("The same everywhere: " + ", ".join(f"{c.address} {_cell(comparison, first, c)}" for c in same) + ".")
    return [*lines, *(f"{STALE} {line}." for line in comparison.left_out())]


def _shown_params(comparison: Comparison) -> Sequence[str]:
    """The axis first, so that it is never among those left to table.csv."""
    return sorted(comparison.differing, key=lambda key: key != comparison.axis)[:MAX_PARAMS]


def _header(comparison: Comparison) -> list[tuple[str, str, str]]:
    """Three lines a column: section and key of a parameter; stage, group and name of a metric with its better direction."""
    params = [(*key.rpartition(".")[::2], "") for key in _shown_params(comparison)]
    metrics = [(column.stage, *_metric_words(comparison, column)) for column in _shown_columns(comparison)]
    return [("", "", ""), *params, *metrics]


def _metric_words(comparison: Comparison, column: Headline) -> tuple[str, str]:
    group, slash, name = column.key.partition("/")
    if column.key.endswith(BEST_OF_MAX):
        keys = [full_key(variant.metrics.get(column.stage, {}), column.key) for variant in comparison.variants]
        numbers = sorted({int(key.rpartition("_")[2]) for key in keys if not key.endswith(BEST_OF_MAX)})
        name = "best of " + "–".join(map(str, dict.fromkeys((numbers[0], numbers[-1]))))
    return group, (name if slash else "") + ARROWS[column.better]


def _shown_columns(comparison: Comparison) -> list[Headline]:
    same = comparison.same_everywhere()
    return [column for column in comparison.columns if column not in same]


def _cells(comparison: Comparison, variant: Variant) -> list[str]:
    name = variant.name + (" (baseline)" if variant.is_baseline and variant.name != "baseline" else "")
    params = [as_text(comparison.param(variant, key)) for key in _shown_params(comparison)]
    return [name, *params, *(_cell(comparison, variant, column) for column in _shown_columns(comparison))]


def _cell(comparison: Comparison, variant: Variant, column: Headline) -> str:
    value = comparison.value(variant, column)
    if value is None:
        return STALE if comparison.is_missing(variant, column) else ""
    return f"{value:{column.digits}}".replace("-", "−")
