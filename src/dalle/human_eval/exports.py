"""The same pairs for Mechanical Turk and for Label Studio, under opaque names (App. F: one task a pair, several workers each).

Both let every task be done by as many different people as asked for, so one arrangement is enough: that of the first rater.
"""

import csv
import html
import json
import shutil
from collections.abc import Sequence
from importlib.resources import as_file, files
from pathlib import Path

from dalle.human_eval.pairs import SheetPlan
from dalle.human_eval.sheets import ShownPair, ShownSheet

FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")
MTURK_COLUMNS = ("sheet_id", "pair_id", "image_1", "image_2", "caption")
# where Label Studio serves files from, see README.md beside the export
LOCAL_FILES = "/data/local-files/?d=human_eval/images/"

Task = tuple[str, ShownPair]  # a sheet's id with one of its pairs


def write_exports(folder: Path, arranged: Sequence[tuple[SheetPlan, ShownSheet]]) -> None:
    """`images/`, `mturk/`, `label_studio/` and a README.md that says how to use them, of one sheet a batch."""
    tasks = export_tasks(arranged)
    for part in ("images", "mturk", "label_studio"):
        (folder / part).mkdir(parents=True)
    for _, pair in tasks:
        for number, png in enumerate((pair.left, pair.right), start=1):
            (folder / "images" / image_name(pair, number)).write_bytes(png)
    write_mturk_batch(tasks, folder / "mturk" / "batch.csv")
    write_label_studio_tasks(tasks, folder / "label_studio" / "tasks.json")
    _copy("mturk.html", folder / "mturk" / "template.html")
    _copy("label_studio.xml", folder / "label_studio" / "config.xml")
    _copy("exports.md", folder / "README.md")


def export_tasks(arranged: Sequence[tuple[SheetPlan, ShownSheet]]) -> list[Task]:
    """The sheets' pairs without repeats: tasks are handed out one by one."""
    return [
        (sheet.sheet_id, shown)
        for plan, sheet in arranged
        for placed, shown in zip(plan.pairs, sheet.pairs, strict=True)
        if placed.kind != "repeat"
    ]


def image_name(pair: ShownPair, number: int) -> str:
    return f"{pair.pair_id}-{number}.png"


def write_mturk_batch(tasks: Sequence[Task], path: Path) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(MTURK_COLUMNS)
        for sheet_id, pair in tasks:
            caption = spreadsheet_safe(as_ascii_html(" ".join(pair.caption.split())))
            writer.writerow([sheet_id, pair.pair_id, image_name(pair, 1), image_name(pair, 2), caption])


def write_label_studio_tasks(tasks: Sequence[Task], path: Path) -> None:
    data = [
        {
            "sheet_id": sheet_id,
            "pair_id": pair.pair_id,
            "image_1": LOCAL_FILES + image_name(pair, 1),
            "image_2": LOCAL_FILES + image_name(pair, 2),
            "caption": pair.caption,
        }
        for sheet_id, pair in tasks
    ]
    path.write_text(json.dumps([{"data": task} for task in data], indent=1) + "\n", encoding="utf-8")


def as_ascii_html(text: str) -> str:
    """Mechanical Turk puts a cell into its page as it is, and takes no letters beyond the first 65,536 (emoji)."""
    return html.escape(text).encode("ascii", "xmlcharrefreplace").decode()


def spreadsheet_safe(cell: str) -> str:
    """`cell` behind an apostrophe where a spreadsheet would take it for a formula."""
    return f"'{cell}" if cell.startswith(FORMULA_STARTS) else cell


def _copy(name: str, target: Path) -> None:
    with as_file(files("dalle.human_eval").joinpath(name)) as source:
        shutil.copyfile(source, target)
