"""Pages and exports show pictures and captions as they are, and nothing that tells a model, a check or a repeat."""

import base64
import csv
import hashlib
import html
import io
import json
import re
from html.parser import HTMLParser

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from small_sheets import HOSTILE, SIZE, captions_of, controls_of, hostile_captions, pictures_of, plans_and_sheets

from dalle.evaluation.folders import FolderSamples, read_folder
from dalle.human_eval.exports import export_tasks, spreadsheet_safe, write_exports
from dalle.human_eval.page import edition, sheet_page
from dalle.human_eval.pictures import ModelPictures, check_complete, pixels, plain_png, rival_pictures
from dalle.human_eval.sheets import shown_sheet, write_key
from dalle.report import style
from dalle.report.style import MODELS

PNG_CHUNKS = {b"IHDR", b"IDAT", b"IEND"}


class Page(HTMLParser):
    """What a browser would make of a page: every tag, and the text of each script and style."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags, self.raw, self._open = [], [], None
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag in ("script", "style"):
            self.raw.append([tag, dict(attrs), ""])
            self._open = tag

    def handle_endtag(self, tag):
        self._open = None if tag == self._open else self._open

    def handle_data(self, data):
        if self._open:
            self.raw[-1][2] += data

    def content(self) -> dict:
        (text,) = [text for tag, attrs, text in self.raw if attrs.get("type") == "application/json"]
        return json.loads(text)


@pytest.fixture(scope="module")
def hostile():
    return plans_and_sheets(hostile_captions())


def test_captions_are_data_and_never_markup(hostile):
    pages = [Page(sheet_page(sheet, SIZE)) for sheet in hostile[1]]
    plain = Page(sheet_page(plans_and_sheets(captions_of(len(HOSTILE)))[1][0], SIZE))
    for page, sheet in zip(pages, hostile[1], strict=True):
        assert [tag for tag, _ in page.tags] == [tag for tag, _ in plain.tags]
        shown = page.content()["pairs"]
        assert [pair["caption"] for pair in shown] == [pair.caption for pair in sheet.pairs]
    assert set(HOSTILE) <= {pair["caption"] for page in pages for pair in page.content()["pairs"]}


def test_the_policy_allows_this_script_and_style_and_nothing_else(hostile):
    page = Page(sheet_page(hostile[1][0], SIZE))
    (policy,) = [attrs["content"] for tag, attrs in page.tags if attrs.get("http-equiv") == "Content-Security-Policy"]
    assert policy.startswith("default-src 'none'; img-src data:;") and "unsafe" not in policy and "http" not in policy
    for kind, attrs, text in page.raw:
        if attrs.get("type") != "application/json":
            digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
            assert f"{kind}-src 'sha256-{digest}'" in policy
    assert not any(name.startswith("on") or name in ("style", "href", "src") for _, attrs in page.tags for name in attrs)


def test_a_page_names_no_model_no_kind_and_no_id_of_the_data(hostile):
    plans, sheets = hostile
    secret = re.compile(r"dall|gan\b|capt\d|img\d|noise|attention|swap|rival|kind\"", re.IGNORECASE)
    for sheet in sheets:
        text = re.sub(r"base64,[A-Za-z0-9+/=]+", "", sheet_page(sheet, SIZE))
        assert secret.findall(text) == []
        for pair in Page(text).content()["pairs"]:
            assert sorted(pair) == ["caption", "id", "left", "right"] and re.fullmatch(r"[0-9a-f]{12}", pair["id"])


def test_pictures_are_png_of_one_size_with_nothing_but_pixels(hostile):
    plans, sheets = hostile
    for pair in (pair for sheet in sheets for pair in sheet.pairs):
        for png in (pair.left, pair.right):
            assert Image.open(io.BytesIO(png)).size == (SIZE, SIZE)
            assert set(_chunks(png)) == PNG_CHUNKS


def _chunks(png: bytes):
    place = 8
    while place < len(png):
        yield png[place + 4 : place + 8]
        place += 12 + int.from_bytes(png[place : place + 4], "big")


def test_metadata_of_a_picture_is_gone_and_its_pixels_are_kept():
    image = np.random.default_rng(0).integers(0, 256, (SIZE, SIZE, 3), dtype=np.uint8)
    assert (pixels(plain_png(image)) == image).all()


def test_a_sheet_shows_what_the_plan_says(hostile):
    """The page's pictures against those that were handed in, looked up by name and caption."""
    captions = hostile_captions()
    controls = controls_of(captions)
    plans, sheets = hostile
    pictures = pictures_of(captions, controls)
    rows = {caption_id: row for row, caption_id in enumerate(captions["caption_id"])}
    for plan, sheet in zip(plans, sheets, strict=True):
        shown = Page(sheet_page(sheet, SIZE)).content()["pairs"]
        for placed, pair in zip(plan.pairs, shown, strict=True):
            for side in ("left", "right"):
                image = pixels(base64.b64decode(pair[side].partition("base64,")[2]))
                name = getattr(placed, side)
                if name in ("dalle", "dfgan"):
                    expected = pictures._models[name].images[rows[placed.caption_id]]
                elif name in ("real", "other"):
                    expected = pictures._real[placed.image_id if name == "real" else placed.other_image_id]
                else:
                    assert len(np.unique(image.reshape(-1, 3), axis=0)) > SIZE  # noise: no two pixels need be alike
                    continue
                assert (image == expected).all()


def test_the_same_seed_gives_the_same_bytes_and_other_pictures_other_ids(hostile):
    again = plans_and_sheets(hostile_captions())[1]
    assert [sheet_page(sheet, SIZE) for sheet in again] == [sheet_page(sheet, SIZE) for sheet in hostile[1]]
    captions = hostile_captions()
    changed = pictures_of(captions, controls_of(captions))
    changed._models["dfgan"].images[:] = 255 - changed._models["dfgan"].images
    for plan, sheet in zip(*hostile, strict=True):
        anew = shown_sheet(plan, changed, 0)
        assert edition(anew) != edition(sheet)
        for placed, before, after in zip(plan.pairs, sheet.pairs, anew.pairs, strict=True):
            assert (before.pair_id != after.pair_id) == (placed.kind in ("pair", "repeat"))


def test_the_key_leads_back_from_every_pair(hostile, tmp_path):
    plans, sheets = hostile
    write_key(plans, [[pair.pair_id for pair in sheet.pairs] for sheet in sheets], tmp_path / "key.csv")
    key = pd.read_csv(tmp_path / "key.csv", dtype=str, keep_default_na=False)
    assert list(key.columns) == "sheet_id batch position pair_id kind caption_id caption left right".split()
    assert key["pair_id"].is_unique and set(key["kind"]) == {"pair", "repeat", "attention_noise", "attention_caption"}
    for sheet in sheets:
        rows = key[key["sheet_id"] == sheet.sheet_id]
        assert rows["position"].tolist() == [str(place + 1) for place in range(len(sheet.pairs))]
        assert rows["pair_id"].tolist() == [pair.pair_id for pair in sheet.pairs]
        assert rows["caption"].tolist() == [pair.caption for pair in sheet.pairs]
    sides = key[key["kind"] == "attention_noise"][["left", "right"]]
    assert {frozenset(row) for row in sides.itertuples(index=False)} == {frozenset(("real", "noise"))}


@pytest.fixture(scope="module")
def exported(hostile, tmp_path_factory):
    folder = tmp_path_factory.mktemp("exports") / "exports"
    folder.mkdir()
    arranged = [(plan, sheet) for plan, sheet in zip(*hostile, strict=True) if plan.rater == 1]
    write_exports(folder, arranged)
    return folder, [pair for _, pair in export_tasks(arranged)]


def test_exports_hold_every_pair_once_under_opaque_names(exported):
    folder, tasks = exported
    with (folder / "mturk/batch.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    data = [task["data"] for task in json.loads((folder / "label_studio/tasks.json").read_text(encoding="utf-8"))]
    assert [row["pair_id"] for row in rows] == [task["pair_id"] for task in data] == [pair.pair_id for pair in tasks]
    assert [html.unescape(row["caption"].removeprefix("'")) for row in rows] == [" ".join(pair.caption.split()) for pair in tasks]
    assert [task["caption"] for task in data] == [pair.caption for pair in tasks]
    for pair, row, task in zip(tasks, rows, data, strict=True):
        for number, png in enumerate((pair.left, pair.right), start=1):
            assert (folder / "images" / row[f"image_{number}"]).read_bytes() == png
            assert task[f"image_{number}"].endswith(f"/{row[f'image_{number}']}")
    names = [path.name for path in (folder / "images").iterdir()]
    assert len(names) == 2 * len(tasks) and all(re.fullmatch(r"[0-9a-f]{12}-[12]\.png", name) for name in names)
    assert all(len(set(_chunks(path.read_bytes())) - PNG_CHUNKS) == 0 for path in (folder / "images").iterdir())
    for path in folder.rglob("*"):
        if path.is_file() and path.suffix in (".csv", ".json", ".html", ".xml"):
            assert not re.search(r"dalle|dfgan|capt\d|img\d|\breal\b|noise|attention|\bother\b", path.read_text(encoding="utf-8"))


def test_no_cell_is_a_formula_or_markup(exported):
    folder, _ = exported
    text = (folder / "mturk/batch.csv").read_bytes()
    rows = list(csv.reader(io.StringIO(text.decode("ascii"))))  # emoji and other scripts are escaped
    assert not [cell for row in rows for cell in row if cell.startswith(("=", "+", "-", "@", "\t", "\r"))]
    assert not [cell for row in rows for cell in row if "<" in cell]
    assert any(cell.startswith("'=HYPERLINK(") for row in rows for cell in row)


@pytest.mark.parametrize("cell", ["=1", "+1", "-1", "@a", "\tx", "\rx"])
def test_formulas_are_neutralised_and_other_cells_left(cell):
    assert spreadsheet_safe(cell) == "'" + cell
    assert spreadsheet_safe("a" + cell) == "a" + cell


def test_the_templates_ask_both_questions_and_use_every_column(exported):
    folder, _ = exported
    template, config = (folder / "mturk/template.html").read_text(), (folder / "label_studio/config.xml").read_text()
    for text in (template, config, sheet_page(plans_and_sheets(captions_of(10))[1][0], SIZE)):
        assert "Which image is more realistic?" in text and "Which image matches the caption better?" in text
    assert {"image_1", "image_2", "caption"} == set(re.findall(r"\$\{(\w+)\}", template))
    assert {"image_1", "image_2", "caption"} == set(re.findall(r'value="\$(\w+)"', config))
    for text in (template, config):
        values = re.findall(r'(?:value|alias)="(left|right|neither)"', text)
        assert values == ["left", "right", "left", "right", "neither"]


def test_a_rival_whose_captions_nobody_knows_is_refused(tmp_path):
    for name in "ab":
        Image.fromarray(np.zeros((SIZE, SIZE, 3), np.uint8)).save(tmp_path / f"{name}.png")
    samples = read_folder(tmp_path, None)
    assert isinstance(samples, FolderSamples) and samples.captions is None
    with pytest.raises(ValueError, match="dm_gan cannot be compared: which caption each of its pictures is for is not recorded"):
        rival_pictures("dm_gan", samples)
    known = read_folder(tmp_path, pd.DataFrame({"caption_id": ["b", "a"], "caption": ["two", "one"]}))
    assert rival_pictures("dm_gan", known).rows == {"b": 0, "a": 1}


def test_a_missing_picture_is_named():
    models = {"dalle": ModelPictures(images=np.zeros((2, SIZE, SIZE, 3), np.uint8), rows={"a": 0, "b": 1})}
    check_complete(models, ["a", "b"])
    with pytest.raises(ValueError, match="human_eval: dalle has no picture for 2 captions: c, d"):
        check_complete(models, ["a", "c", "d"])


def test_the_page_has_the_colours_of_the_figures(hostile):
    css = next(text for tag, _, text in Page(sheet_page(hostile[1][0], SIZE)).raw if tag == "style")
    named = dict(re.findall(r"--(\w+): (#\w{6});", css))
    for name in ("ink", "muted", "faint", "grid", "pale"):
        assert named[name] == getattr(style, name.upper())
    assert named["accent"] == MODELS["dalle"].colour
