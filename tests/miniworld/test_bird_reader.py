from dataclasses import replace

import numpy as np
import pytest
from scipy import ndimage

from dalle.miniworld.bird_pictures import render_bird
from dalle.miniworld.bird_reader import PARTS, BirdQuery, birds_show, parse_bird
from dalle.miniworld.birds import PLUMAGE, TEMPLATES, describe_bird, draw_species
from dalle.miniworld.reader_accuracy import all_parts, bird_reader_accuracy, fresh_bird

SEED = 11
NUM_BIRDS = 200


def fresh_birds(size):
    birds = [fresh_bird(index, SEED, size) for index in range(NUM_BIRDS)]
    return [species for species, _ in birds], np.stack([image for _, image in birds])


@pytest.fixture(scope="module")
def birds():
    return fresh_birds(64)


def test_all_parts_are_right_on_97_percent_of_fresh_renders(birds):
    species, images = birds
    assert birds_show(images, [all_parts(one) for one in species]).mean() >= 0.97


def test_pictures_of_48_px_can_be_read():
    species, images = fresh_birds(48)
    assert birds_show(images, [all_parts(one) for one in species]).mean() >= 0.95


def test_reader_bears_blur(birds):
    species, images = birds
    blurred = ndimage.gaussian_filter(images, (0, 0.8, 0.8, 0))
    assert birds_show(blurred, [all_parts(one) for one in species]).mean() >= 0.95


def test_mirrored_pictures_are_read_alike(birds):
    species, images = birds
    assert birds_show(np.ascontiguousarray(images[:, :, ::-1]), [all_parts(one) for one in species]).mean() >= 0.97


def test_captions_of_other_birds_are_right_only_where_their_colours_are(birds):
    species, images = birds
    queries = [parse_bird(describe_bird(one, np.random.default_rng(index), 1)[0]) for index, one in enumerate(species)]
    for shift in (7, 41):
        shown = birds_show(images, queries[shift:] + queries[:shift])
        asked = [query.colours for query in queries[shift:] + queries[:shift]]
        true = [all(getattr(one, part) == colour for part, colour in said) for one, said in zip(species, asked, strict=True)]
        assert np.mean(shown == true) >= 0.99
        assert shown.mean() <= 0.1


@pytest.mark.parametrize("part", PARTS)
def test_every_part_counts(birds, part):
    species, images = birds
    others = [replace(one, **{part: "black" if getattr(one, part) != "black" else "yellow"}) for one in species]
    assert birds_show(images, [all_parts(one) for one in others]).mean() <= 0.01


def test_pictures_without_a_bird_show_none_of_strong_colour(birds):
    flat = np.full((len(PLUMAGE), 64, 64, 3), (200, 210, 200), np.uint8)
    assert not birds_show(flat, [BirdQuery(colours=(("back", colour),)) for colour in PLUMAGE]).any()
    noise = np.random.default_rng(0).integers(0, 256, (50, 64, 64, 3)).astype(np.uint8)
    assert not birds_show(noise, [all_parts(one) for one in birds[0][:50]]).any()


def test_every_template_is_understood():
    species = replace(draw_species(1, SEED)[0], crown="orange", back="grey", wing="white", belly="orange")
    captions = describe_bird(species, np.random.default_rng(0), len(TEMPLATES))
    for caption in captions:
        said = dict(parse_bird(caption).colours)
        words = caption.replace("head", "crown").replace("wings", "wing").replace("breast", "belly").split()
        assert said and all(getattr(species, part) == colour for part, colour in said.items())
        # each colour word belongs to a part: none is left unread
        assert {word for word in words if word in PLUMAGE} <= set(said.values())
    assert parse_bird("This bird is brown with white wings and has a short tail.") == BirdQuery(
        colours=(("back", "brown"), ("wing", "white"))
    )


@pytest.mark.parametrize(
    "caption",
    ["a red circle above a blue square", "a sparrow with a white belly", "this bird is purple with white wings and has a short tail",
     "a bird with wings", ""],
)  # fmt: skip
def test_other_captions_are_not_about_a_birds_colours(caption):
    assert parse_bird(caption) is None


def test_a_part_of_two_colours_has_neither():
    query = parse_bird("the bird has a red breast and blue belly with black wings")
    assert dict(query.colours).keys() == {"belly", "wing"} and len(query.colours) == 3
    species = replace(draw_species(1, SEED)[0], belly="red", wing="black")
    picture, _ = render_bird(species, np.random.default_rng(0), (64, 64))
    assert not birds_show(np.asarray(picture)[None], [query])[0]


def test_wrong_arrays_are_refused():
    with pytest.raises(ValueError, match=r"uint8 images of shape \(N, S, S, 3\)"):
        birds_show(np.zeros((1, 64, 64, 3), np.float32), [])
    with pytest.raises(ValueError, match="64, 80"):
        birds_show(np.zeros((1, 64, 80, 3), np.uint8), [])


def test_how_often_the_reader_is_right_is_a_share_of_fresh_birds():
    species, images = fresh_birds(64)
    told = birds_show(images[:40], [all_parts(one) for one in species[:40]])
    assert bird_reader_accuracy(40, SEED, 64) == told.mean()
    with pytest.raises(ValueError, match="num_images: must be at least 1, got 0"):
        bird_reader_accuracy(0, SEED, 64)
