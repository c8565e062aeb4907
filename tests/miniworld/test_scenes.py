import itertools
from dataclasses import replace

import numpy as np
import pytest
from scipy import ndimage

from dalle.miniworld.pictures import render_scene
from dalle.miniworld.scenes import appearance, draw_scene
from dalle.miniworld.shapes import coverage, placed_outline
from dalle.miniworld.variety import CANONICAL
from dalle.miniworld.vocabulary import HELDOUT, SHAPES
from dalle.randomness import numpy_generator

SIDE = 128


def masks_of(scene):
    for item in scene.objects:
        centre = (item.centre[0] * SIDE, item.centre[1] * SIDE)
        yield np.asarray(coverage(item.shape, centre, item.extent * SIDE, item.degrees, (SIDE, SIDE))) > 127


@pytest.fixture(scope="module")
def scenes():
    return [draw_scene(numpy_generator("scene", seed), heldout=seed % 2 == 0) for seed in range(150)]


def test_objects_stay_inside_the_central_nine_tenths(scenes):
    margin = int(0.04 * SIDE)  # outlines keep 5 % away, their smoothed edges a little less
    for mask in itertools.chain.from_iterable(map(masks_of, scenes)):
        inner = mask[margin:-margin, margin:-margin]
        assert mask.sum() == inner.sum() > 0


def test_objects_are_three_pixels_apart_at_64(scenes):
    for scene in scenes:
        for first, second in itertools.combinations(masks_of(scene), 2):
            distance = ndimage.distance_transform_edt(~first)
            assert distance[second].min() * 64 / SIDE >= 3.0


def test_relation_is_clear_in_the_masks(scenes):
    related = [scene for scene in scenes if scene.relation]
    assert len({scene.relation for scene in related}) == 4
    for scene in related:
        (y1, x1), (y2, x2) = (ndimage.center_of_mass(mask) for mask in masks_of(scene))
        truth = {"above": y2 - y1, "below": y1 - y2, "left of": x2 - x1, "right of": x1 - x2}
        assert max(truth, key=truth.get) == scene.relation


def test_heldout_scenes_show_exactly_one_heldout_combination_others_none(scenes):
    for number, scene in enumerate(scenes):
        assert sum((item.shape, item.colour) in HELDOUT for item in scene.objects) == (number % 2 == 0)


def test_coverage_of_known_shapes_has_the_area_of_geometry():
    extent = 100.0
    area = {shape: np.asarray(coverage(shape, (80, 80), extent, 0, (160, 160)), float).sum() / 255 for shape in SHAPES}
    assert area["circle"] == pytest.approx(np.pi * (0.475 * extent) ** 2, rel=0.02)
    assert area["ring"] == pytest.approx(np.pi * (0.5 * extent) ** 2 * (1 - 0.56**2), rel=0.03)


@pytest.fixture(scope="module")
def canonical_scenes():
    return [draw_scene(numpy_generator("canonical", seed), heldout=False, variety=CANONICAL) for seed in range(150)]


def test_objects_of_the_canonical_world_lie_on_whole_cells(canonical_scenes):
    for item in itertools.chain.from_iterable(scene.objects for scene in canonical_scenes):
        offset = 0.5 if item.size == "small" else 0.0
        cells = np.array(item.centre) * 8 - offset
        assert np.allclose(cells, np.round(cells)) and item.degrees == 0
        outline = placed_outline(item.shape, item.centre, item.extent, 0)
        assert (outline >= CANONICAL.margin - 1e-9).all() and (outline <= 1 - CANONICAL.margin + 1e-9).all()


def test_two_renders_of_a_canonical_scene_differ_by_their_tint_alone(canonical_scenes):
    for scene in canonical_scenes[:20]:
        renders = {render_scene(scene, numpy_generator(seed), (64, 64), CANONICAL).tobytes() for seed in range(40)}
        assert len(renders) == (6 if scene.ground == "stripes" else 3)  # three tints; stripes are upright or level
        rich = {render_scene(scene, numpy_generator(seed), (64, 64)).tobytes() for seed in range(10)}
        assert len(rich) == 10


def test_scenes_look_alike_where_only_the_order_differs_or_as_mirror_images_where_every_place_is_mirrored(scenes):
    for scene in scenes:
        turned = tuple(
            replace(item, centre=(1 - item.centre[0], item.centre[1]), degrees=-item.degrees) for item in scene.objects[::-1]
        )
        assert appearance(replace(scene, objects=turned)) == appearance(scene, mirrored=True) != appearance(scene)
        assert appearance(replace(scene, objects=scene.objects[::-1], relation=None)) == appearance(scene)
    assert len({appearance(scene) for scene in scenes}) == len(scenes)
