"""What the stage `rerank` reads off candidates while it decodes them."""

import numpy as np

from dalle.evaluation.samples import RerankedSamples
from dalle.miniworld.reader_accuracy import fresh_render
from dalle.processes import Processes
from harness.evaluation_parts import candidate_rows
from stages.rerank import reading


def test_each_candidate_is_read_under_its_own_caption_whatever_the_batch():
    image = next(image for scene, image in (fresh_render(index, 1, 64) for index in range(50)) if len(scene.objects) == 1)
    scene = next(scene for scene, _ in (fresh_render(index, 1, 64) for index in range(50)) if len(scene.objects) == 1)
    blank, right = np.zeros_like(image), f"a {scene.objects[0].colour} {scene.objects[0].shape}"
    other = "red" if scene.objects[0].colour != "red" else "blue"
    captions = [right, f"a {other} {scene.objects[0].shape}", "nothing that can be read"]
    pixels = np.stack([blank, image, image, blank] * 3)
    told = np.zeros((3, 4), dtype=bool)
    with Processes(1) as processes:
        decode = reading(lambda rows: pixels[rows], captions, told, processes)
        for start in range(0, 12, 5):
            rows = slice(start, min(start + 5, 12))
            np.testing.assert_array_equal(decode(rows), pixels[rows])
    assert told.tolist() == [[False, True, True, False], [False] * 4, [False] * 4]


def test_rows_are_of_the_candidates_that_won_and_of_the_best_among_n():
    """Candidates by number, whatever the order in which the winners' pictures lie on disk."""
    found = RerankedSamples(
        images=np.zeros((3, 4, 4, 3), np.uint8),
        keys=[("a", 3), ("a", 0), ("b", 1)],
        captions=["a red circle"] * 3,
        winners=np.array([[1, 0], [2, 2]]),
        sweep=(1, 4),
    )
    told = np.array([[False, True, False, True], [False, False, True, False]])
    rows = candidate_rows(told, ["a red circle", "a blue star"], found, domain="coco", model="dalle")
    values = {(row["metric"], row["candidates"]): row["value"] for row in rows if row["reference"] == "all"}
    assert values == {
        ("caption_accuracy", 1): 0.0, ("caption_accuracy", 4): 0.5, ("oracle_accuracy", 1): 0.0, ("oracle_accuracy", 4): 1.0,
    }  # fmt: skip
