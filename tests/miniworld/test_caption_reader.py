import numpy as np

from dalle.miniworld.bird_reader import BirdQuery
from dalle.miniworld.caption_reader import read_caption, shown
from dalle.miniworld.captions import SceneQuery
from dalle.miniworld.reader import shows
from dalle.miniworld.reader_accuracy import all_parts, fresh_bird, fresh_render, full_query
from dalle.processes import Processes

SEED = 5


def mixed():
    """Scenes and birds in turn, most with their own query, a few with another's, some with none: what each shows is known."""
    scenes = [fresh_render(index, SEED, 64) for index in range(40)]
    birds = [fresh_bird(index, SEED, 64) for index in range(40)]
    images = [image for pair in zip(scenes, birds, strict=True) for _, image in pair]
    queries = [query for scene, bird in zip(scenes, birds, strict=True) for query in (full_query(scene[0]), all_parts(bird[0]))]
    for index in range(0, 80, 16):
        queries[index], queries[index + 3] = None, all_parts(birds[0][0])
    return np.stack(images), queries


def test_what_a_caption_is_about_is_known_by_its_words():
    assert isinstance(read_caption("a red circle above a blue square"), SceneQuery)
    assert isinstance(read_caption("a blue bird with white wings and a red belly"), BirdQuery)
    assert read_caption("the morning market") is None


def test_scenes_and_birds_are_read_each_by_its_reader():
    images, queries = mixed()
    told = shown(images, queries)
    assert not told[[index for index, query in enumerate(queries) if query is None]].any()
    scenes = [index for index, query in enumerate(queries) if isinstance(query, SceneQuery)]
    assert told[scenes].tolist() == [shows(images[index], queries[index]) for index in scenes]
    own = [index for index in range(1, 80, 2) if index % 16 != 3]
    assert told[own].mean() >= 0.95
    assert shown(images[:0], []).shape == (0,)


def test_processes_change_nothing():
    images, queries = mixed()
    with Processes(2) as processes:
        assert shown(images, queries, processes).tolist() == shown(images, queries).tolist()
