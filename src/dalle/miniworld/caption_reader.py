"""Whether pictures show what captions of the miniature world say, scenes and birds alike."""

from collections.abc import Sequence

import numpy as np

from dalle.miniworld.bird_reader import BirdQuery, birds_show, parse_bird
from dalle.miniworld.captions import SceneQuery, parse_caption
from dalle.miniworld.reader import shows
from dalle.processes import Processes

Query = SceneQuery | BirdQuery
PART = 64  # pictures that a process reads at a time


def read_caption(caption: str) -> Query | None:
    """What a caption asks for: objects and how they lie, or colours of a bird's parts; None where neither can be read."""
    return parse_caption(caption) or parse_bird(caption)


def shown(images: np.ndarray, queries: Sequence[Query | None], processes: Processes | None = None) -> np.ndarray:
    """Whether each picture, uint8 (N, S, S, 3), shows its query: bool (N,), False where there is none."""
    parts = [(images[start : start + PART], queries[start : start + PART]) for start in range(0, len(images), PART)]
    read = map(_shown, parts) if processes is None else processes.map(_shown, parts)
    return np.concatenate([np.empty(0, bool), *read])


def _shown(part: tuple[np.ndarray, Sequence[Query | None]]) -> np.ndarray:
    images, queries = part
    found = np.zeros(len(images), dtype=bool)
    birds = [index for index, query in enumerate(queries) if isinstance(query, BirdQuery)]
    if birds:
        found[birds] = birds_show(images[birds], [queries[index] for index in birds])
    for index, query in enumerate(queries):
        if isinstance(query, SceneQuery):
            found[index] = shows(images[index], query)
    return found
