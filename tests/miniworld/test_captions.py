import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dalle.miniworld.birds import alt_text, describe_bird, draw_species
from dalle.miniworld.captions import ObjectQuery, caption_scene, parse_caption
from dalle.miniworld.distractors import ABSTRACT_CAPTIONS, LANDSCAPE_CAPTIONS
from dalle.miniworld.junk import boilerplate_caption, short_caption
from dalle.miniworld.languages import foreign_caption
from dalle.miniworld.scenes import draw_scene
from dalle.miniworld.vocabulary import INVERSE
from dalle.randomness import numpy_generator

SEEDS = st.integers(0, 2**32)


@settings(max_examples=300, deadline=None)
@given(seed=SEEDS, heldout=st.booleans())
def test_parsing_a_caption_gives_back_what_the_scene_holds(seed, heldout):
    rng = numpy_generator(seed)
    scene = draw_scene(rng, heldout=heldout)
    caption = caption_scene(scene, rng)
    query = parse_caption(caption)
    assert 3 <= len(caption.split()) <= 14
    assert query is not None and len(query.objects) == len(scene.objects)
    truth = {(item.shape, item.colour): item for item in scene.objects}
    assert sorted((item.shape, item.colour) for item in query.objects) == sorted(
        (item.shape, item.colour) for item in scene.objects
    )
    assert query.heldout == scene.heldout == heldout
    if len(truth) == len(scene.objects):  # all look different, so that sizes and order can be told
        assert all(item.size in (None, truth[item.shape, item.colour].size) for item in query.objects)
        if query.relation:
            first_is_first = query.objects[0].shape, query.objects[0].colour
            same_order = first_is_first == (scene.objects[0].shape, scene.objects[0].colour)
            assert query.relation == (scene.relation if same_order else INVERSE[scene.relation])


@settings(max_examples=100, deadline=None)
@given(seed=SEEDS)
def test_captions_of_anything_else_are_not_about_a_scene(seed):
    rng = numpy_generator(seed)
    species = draw_species(6, 0)[int(rng.integers(6))]
    others = [*describe_bird(species, rng, 10), alt_text(species, rng), boilerplate_caption(rng)]
    others += [foreign_caption(draw_scene(rng, heldout=False), rng)]
    assert [caption for caption in others if parse_caption(caption)] == []


@pytest.mark.parametrize(
    "caption",
    [*ABSTRACT_CAPTIONS, *LANDSCAPE_CAPTIONS, "", "a red", "red circle above", "a red circle above a blue square below a red ring"]
    + ["two red circles", "a photo of", "a red circle, a red ring, a red heart and a red star", "a circle red", "img"],
)
def test_incomplete_or_strange_captions_are_refused(caption):
    assert parse_caption(caption) is None


def test_parsing_ignores_case_spaces_and_a_full_stop():
    query = parse_caption("  A photo of the Big red  Circle to the left of an orange star on stripes.\n")
    assert query.objects == (
        ObjectQuery(shape="circle", colour="red", size="large"),
        ObjectQuery(shape="star", colour="orange", size=None),
    )
    assert query.relation == "left of" and not query.heldout


def test_what_a_caption_leaves_out_is_none_and_heldout_needs_the_exact_pair():
    assert parse_caption("a circle").objects == (ObjectQuery(shape="circle", colour=None, size=None),)
    assert parse_caption("an orange circle and a red ring").heldout
    assert not parse_caption("a red circle and an orange ring").heldout


def test_short_captions_have_at_most_two_words():
    assert all(len(short_caption(numpy_generator(seed)).split()) <= 2 for seed in range(50))
