import numpy as np
import pytest
from scipy import ndimage

from dalle.miniworld.captions import SceneQuery, parse_caption
from dalle.miniworld.reader import read_scene, shows
from dalle.miniworld.reader_accuracy import fresh_render, full_query, reader_accuracy
from dalle.miniworld.variety import VARIETIES
from dalle.miniworld.vocabulary import INVERSE

SEED = 11


def test_reader_is_right_on_99_percent_of_fresh_renders():
    assert all(reader_accuracy(300, SEED, 64, variety) >= 0.99 for variety in VARIETIES.values())


def test_reader_bears_blur():
    renders = [fresh_render(index, SEED, 64) for index in range(100)]
    blurred = [(scene, ndimage.gaussian_filter(image, (1, 1, 0))) for scene, image in renders]
    assert np.mean([shows(image, full_query(scene)) for scene, image in blurred]) >= 0.98


def test_pictures_do_not_show_what_another_caption_says():
    renders = [fresh_render(index, SEED, 64) for index in range(60)]
    queries = [full_query(scene) for scene, _ in renders]
    for index, (_, image) in enumerate(renders):
        other = queries[(index + 1) % len(queries)]
        assert other == queries[index] or not shows(image, other)


def test_every_single_attribute_counts():
    index = next(index for index in range(100) if full_query(fresh_render(index, SEED, 64)[0]).relation == "above")
    scene, image = fresh_render(index, SEED, 64)
    query = full_query(scene)
    assert shows(image, query)
    assert shows(image, SceneQuery(objects=query.objects[::-1], relation=INVERSE["above"]))
    assert shows(image, SceneQuery(objects=query.objects, relation=None))
    for relation in ("below", "left of", "right of"):
        assert not shows(image, SceneQuery(objects=query.objects, relation=relation))
    assert not shows(image, SceneQuery(objects=query.objects[:1], relation=None))
    assert not shows(image, SceneQuery(objects=(*query.objects, query.objects[0]), relation=None))


def test_empty_and_noisy_pictures_show_nothing():
    query = parse_caption("a red circle")
    assert read_scene(np.full((64, 64, 3), 200, np.uint8)).objects == ()
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3)).astype(np.uint8)
    assert not shows(noise, query)


def test_wrong_arrays_are_refused():
    with pytest.raises(ValueError, match="uint8"):
        read_scene(np.zeros((64, 64, 3), np.float32))
