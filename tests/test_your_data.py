"""reports/your_data.md against the code: its trees are those that the errors show, its parameters are there."""

import re
from pathlib import Path

import pytest

from dalle.data.evaluation_captions import CaptionChoice
from dalle.data.sources.layouts import LAYOUTS
from dalle.data.sources.originals import CUB, CUB_CLASSES
from harness.params import flatten, read_yaml

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "reports/your_data.md").read_text(encoding="utf-8")
FOLDERS = {"web": "external/web", "coco": "external/coco", "cub": "external/cub", "panels": "external/photos"}
BLOCKS = re.findall(r"^```\n(.*?)\n```$", PAGE, re.DOTALL | re.MULTILINE)


@pytest.mark.parametrize("corpus", LAYOUTS)
def test_every_layout_of_every_corpus_is_shown_whole(corpus):
    for layout in LAYOUTS[corpus]:
        folder = FOLDERS["panels"] if layout.name == "captioned folder" else FOLDERS[corpus]
        for tree in layout.trees:
            assert tree.format(folder=folder) in BLOCKS
        assert re.search(rf"^## (A )?{layout.name}$", PAGE, re.MULTILINE)


def test_parameters_on_the_page_are_there():
    values = read_yaml(ROOT / "params.yaml")
    keys = {*flatten(values), *values, *(f"{section}.{key}" for section in values for key in dict_of(values[section]))}
    sections = "|".join(values)
    named = re.findall(rf"`({sections})(\.[\w.]+)", PAGE) + re.findall(rf"\b(prepare_data|sample|evaluate)(\.\w+)=", PAGE)
    assert len(named) > 15
    assert all(any(key == known or known.startswith(f"{key}.") for known in keys) for key in map("".join, named))


def dict_of(value: object) -> dict:
    return value if isinstance(value, dict) else {}


def test_choices_on_the_page_are_those_of_the_code():
    assert re.findall(r"^\| `(\w+)` \| (?:one of|any of|all that)", PAGE, re.MULTILINE) == list(CaptionChoice.__args__)
    rows = dict(re.findall(r"^\| `(\w+)` \| ([^|]+\|[^|]+)\|[^|]+\|$", PAGE, re.MULTILINE))
    assert set(rows) == set(CUB)
    for split in ("testclasses", "train_test_split"):
        for size in CUB[split].values():
            assert f"{size.images:,}" in rows[split]
    assert all(f"{number} " in rows["testclasses"] for number in CUB_CLASSES["testclasses"].values())


def test_links_lead_somewhere():
    anchors = {re.sub(r"[^\w -]", "", title).strip().lower().replace(" ", "-") for title in re.findall(r"^#+ (.*)$", PAGE, re.M)}
    assert set(re.findall(r"\]\(#([\w-]+)\)", PAGE)) <= anchors
