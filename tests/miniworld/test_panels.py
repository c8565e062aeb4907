"""Panels: the bottom half follows from the top, captions say how, and the reader tells the kinds apart."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dalle.miniworld.captions import parse_caption
from dalle.miniworld.panel_captions import WORDINGS, caption_panels
from dalle.miniworld.panel_reader import read_panel, shows_panels
from dalle.miniworld.panels import KINDS, PANEL_MARGIN, draw_panels
from dalle.miniworld.pictures import draw_panels_side, render_panels
from dalle.miniworld.reader_accuracy import fresh_panels, panel_reader_accuracy
from dalle.miniworld.shapes import placed_outline
from dalle.miniworld.variety import CANONICAL, RICH, VARIETIES
from dalle.miniworld.vocabulary import COLOURS, HELDOUT
from dalle.randomness import numpy_generator

SEED = 11
SEEDS = st.integers(0, 2**32)


def rendered(kind, seed, side=96):
    rng = numpy_generator(seed, "test panels")
    panels = draw_panels(rng, kind)
    return panels, np.asarray(render_panels(panels, rng, side)).astype(int)


@settings(max_examples=200, deadline=None)
@given(seed=SEEDS, kind=st.sampled_from(KINDS), variety=st.sampled_from([CANONICAL, RICH]))
def test_a_shape_keeps_inside_its_half_and_no_combination_is_held_out(seed, kind, variety):
    panels, margin = draw_panels(numpy_generator(seed), kind, variety), variety.margin
    outline = placed_outline(panels.shape, panels.centre, panels.extent, panels.degrees)
    assert (outline >= (margin - 1e-9, PANEL_MARGIN - 1e-9)).all()
    assert (outline <= (1 - margin + 1e-9, 0.5 - PANEL_MARGIN + 1e-9)).all()
    assert panels.extent >= variety.panel_extent[0] and 12 * panels.extent > 4, "four cells of a grid of 12"
    assert not {(panels.shape, panels.colour), (panels.shape, panels.colour_below)} & HELDOUT
    assert (panels.colour != panels.colour_below) == (kind == "recoloured")


@pytest.mark.parametrize("seed", range(5))
def test_copies_and_reflections_are_exact(seed):
    for kind in ("copied", "reflected"):
        _, image = rendered(kind, seed)
        top, bottom = image[:48], image[48:]
        np.testing.assert_array_equal(bottom, top if kind == "copied" else top[::-1])
        assert (top != top[::-1]).mean() > 0.02, "a reflection can be seen"


@pytest.mark.parametrize("seed", range(5))
def test_recolouring_changes_the_shape_s_colour_and_nothing_else(seed):
    """Where the halves differ, the top has one colour and the bottom the other; the ground around is the same."""
    panels, image = rendered("recoloured", seed)
    differs = np.abs(image[:48] - image[48:]).sum(-1) > 0
    x, y = (round(value * 96) for value in panels.centre)
    reach = round(0.6 * panels.extent * 96)
    outside = differs.copy()
    outside[max(0, y - reach) : y + reach, max(0, x - reach) : x + reach] = False
    assert differs[y, x] and not outside.any()
    for half, colour in ((image[:48], panels.colour), (image[48:], panels.colour_below)):
        nearest = min(COLOURS, key=lambda name: np.abs(half[y, x] - COLOURS[name]).sum())
        assert nearest == colour


@settings(max_examples=200, deadline=None)
@given(seed=SEEDS, kind=st.sampled_from(KINDS))
def test_captions_say_what_becomes_of_the_top(seed, kind):
    rng = numpy_generator(seed)
    panels = draw_panels(rng, kind)
    caption = caption_panels(panels, rng).lower()
    assert 5 <= len(caption.split()) <= 13
    assert parse_caption(caption) is None, "it is about no scene"
    assert ("upside-down" in caption) == (kind == "reflected")
    words = set(caption.removesuffix(".").split())
    named = words & set(COLOURS)
    assert named <= {panels.colour, panels.colour_below} and (kind != "recoloured" or panels.colour_below in named)
    assert not words & {"triangle", "star", "heart"} - {panels.shape}


def test_every_kind_has_a_few_wordings_and_they_are_all_used():
    seen = {kind: set() for kind in KINDS}
    for seed in range(300):
        rng = numpy_generator(seed)
        panels = replace(draw_panels(rng, KINDS[seed % 3]), shape="heart", colour="red", colour_below="blue")
        seen[panels.kind].add(caption_panels(panels, rng).lower().removesuffix("."))
    assert {kind: len(captions) for kind, captions in seen.items()} == {kind: 3 * len(WORDINGS[kind]) for kind in KINDS}


def test_the_reader_is_right_on_99_percent_of_fresh_renders():
    assert all(panel_reader_accuracy(300, SEED, 48, variety) >= 0.99 for variety in VARIETIES.values())
    with pytest.raises(ValueError, match="num_images: must be at least 1"):
        panel_reader_accuracy(0, SEED, 48)


def test_no_kind_passes_for_another_and_no_other_shape_or_place():
    for index in range(60):
        panels, image = fresh_panels(index, SEED, 48)
        kinds = {"reflected", "copied"} - {panels.kind}
        others = [replace(panels, kind=kind, colour_below=panels.colour) for kind in kinds]
        recoloured = next(name for name in COLOURS if name not in (panels.colour, panels.colour_below))
        others.append(replace(panels, kind="recoloured", colour_below=recoloured))
        others.append(replace(panels, shape={"triangle": "star", "star": "heart", "heart": "triangle"}[panels.shape]))
        others.append(replace(panels, colour=recoloured))
        x, y = panels.centre
        others.append(replace(panels, centre=(x + (0.15 if x < 0.5 else -0.15), y)))
        others.append(replace(panels, extent=1.5 * panels.extent))
        assert [shows_panels(image, other) for other in others] == [False] * len(others), panels


def test_a_reading_is_where_and_how_the_shape_is_drawn():
    for index in range(0, 30, 3):
        panels, image = fresh_panels(index, SEED, 48)
        top, bottom = read_panel(image[:24]), read_panel(image[24:])
        assert panels.kind == "reflected" and (top.upside_down, bottom.upside_down) == (False, True)
        np.testing.assert_allclose([top.extent, bottom.extent], panels.extent, rtol=0.1)
        np.testing.assert_allclose(bottom.centre, (top.centre[0], 0.5 - top.centre[1]), atol=0.02)


def test_halves_with_no_shape_or_with_two_are_not_read():
    plain = np.full((24, 48, 3), 200, np.uint8)
    assert read_panel(plain) is None
    panels, image = fresh_panels(2, SEED, 48)
    twice = np.concatenate([image[:24], image[:24]], axis=1)
    assert read_panel(twice) is None and not shows_panels(np.full((48, 48, 3), 200, np.uint8), panels)


def test_sides_are_even_and_those_of_other_pictures():
    sides = {draw_panels_side(numpy_generator(seed)) for seed in range(300)}
    assert {side % 2 for side in sides} == {0} and min(sides) == 80 and max(sides) == 128
