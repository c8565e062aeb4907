"""Colours keep their meaning, files are replaced whole, and text fits where it is put."""

import matplotlib
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from dalle.report.lettering import drawable, shorten, text_width, wrap
from dalle.report.lines import spread
from dalle.report.sheet import Sheet
from dalle.report.style import MODELS, dfgan_label, model_styles, save_figure, styled

# Viénot, Brettel and Mollon 1999: what red-green blind people see, linear in linear RGB
PROTANOPE = np.array([[0.11238, 0.88762, 0], [0.11238, 0.88762, 0], [0.00401, -0.00401, 1]])
DEUTERANOPE = np.array([[0.29275, 0.70725, 0], [0.29275, 0.70725, 0], [-0.02234, 0.02234, 1]])


@pytest.mark.parametrize("seen", [np.eye(3), PROTANOPE, DEUTERANOPE], ids=["all", "protanope", "deuteranope"])
def test_colours_of_the_evaluated_models_stay_apart(seen):
    names = ("dalle", "dalle_finetuned", "dvae", "real", "df_gan", "dm_gan", "attn_gan")
    linear = np.array([matplotlib.colors.to_rgb(MODELS[name].colour) for name in names]) ** 2.2
    seen_colours = np.clip(linear @ seen.T, 0, 1) ** (1 / 2.2)
    apart = np.linalg.norm(seen_colours[:, None] - seen_colours, axis=-1) + np.eye(len(names))
    assert apart.min() > 0.1
    assert len({MODELS[name].marker for name in names}) == len(names)  # and the marker tells in any case


def test_a_model_looks_the_same_under_all_its_spellings_and_company():
    assert model_styles(["DF-GAN"])["DF-GAN"] == model_styles(["dfgan", "zoo", "dalle"])["dfgan"] == MODELS["df_gan"]
    unknown = model_styles(["b model", "a model", "dalle"])
    assert unknown["a model"] != unknown["b model"] and unknown["a model"].label == "a model"


def test_a_label_may_say_more_and_the_dfgan_s_says_what_it_reads_captions_by():
    assert dfgan_label("clip") == "DF-GAN, CLIP text" and dfgan_label("damsm") == "DF-GAN, DAMSM text"
    styles = model_styles(["dfgan", "dalle"], {"dfgan": dfgan_label("clip")})
    assert styles["dfgan"].label == "DF-GAN, CLIP text" and styles["dfgan"].colour == MODELS["df_gan"].colour
    assert styles["dalle"] == MODELS["dalle"] and MODELS["df_gan"].label == "DF-GAN"


def test_style_leaves_the_callers_matplotlib_alone_and_does_not_depend_on_it(tmp_path):
    @styled
    def figure():
        sheet = Sheet(200, "Title", "line")
        sheet.plot(60, 90, 300, 60, title="x").plot([1, 2])
        return sheet.figure

    save_figure(figure(), tmp_path / "plain.png")
    with matplotlib.rc_context({"font.size": 30, "lines.linewidth": 9, "axes.grid": False, "text.usetex": False}):
        save_figure(figure(), tmp_path / "changed.png")
        assert matplotlib.rcParams["font.size"] == 30
    assert (tmp_path / "plain.png").read_bytes() == (tmp_path / "changed.png").read_bytes()


def test_save_figure_replaces_the_file_and_leaves_nothing_beside_it(tmp_path):
    path = tmp_path / "new" / "figure.png"
    for height in (100, 120):
        save_figure(Sheet(height, "t", "s").figure, path)
    assert [file.name for file in path.parent.iterdir()] == ["figure.png"]
    with Image.open(path) as picture:
        assert picture.size == (1800, 240) and picture.mode == "RGB"


@given(text=st.text(max_size=120), width=st.integers(40, 200), max_lines=st.integers(1, 4))
def test_wrapped_lines_fit_and_keep_the_words(text, width, max_lines):
    lines = wrap(text, width, 10, max_lines=max_lines)
    assert len(lines) <= max_lines
    assert all(text_width(line, 10) <= width for line in lines)
    if not lines[-1].endswith("…"):
        assert "".join(lines).replace(" ", "") == drawable(text).replace(" ", "")


def test_wrap_breaks_long_words_and_marks_what_is_cut():
    lines = wrap("see https://example.org/a/very/long/address/without/any/space", 80, 10, max_lines=2)
    assert len(lines) == 2 and lines[0] == "see" and lines[1].endswith("…")
    assert shorten("short", 100, 10) == "short"


def test_drawable_boxes_only_what_the_font_lacks():
    assert drawable("ein großer\n Kreis, круг β 中") == "ein großer Kreis, круг β □"


@given(st.lists(st.floats(0, 400), min_size=1, max_size=8))
def test_labels_are_moved_apart_in_order_and_stay_inside(wanted):
    wanted = np.sort(wanted)
    places = spread(wanted, 20.0, 0.0, 400.0)
    assert (np.diff(places) >= 20 - 1e-6).all()
    assert places.min() >= -1e-6 and places.max() <= 400 + 1e-6
    if len(wanted) > 1 and np.diff(wanted).min() >= 20:
        np.testing.assert_allclose(places, wanted)
