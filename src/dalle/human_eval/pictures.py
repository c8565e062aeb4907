"""The two pictures of every pair as PNG files that tell nothing but what they show."""

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image

from dalle.data.images import evaluation_crop
from dalle.evaluation.folders import FolderSamples
from dalle.evaluation.samples import RerankedSamples
from dalle.human_eval.pairs import NOISE, OTHER, REAL, PlacedPair
from dalle.randomness import numpy_generator


@dataclass(frozen=True, kw_only=True)
class ModelPictures:
    """A model's pictures: a caption's is row `rows[caption_id]` of uint8 (N, H, W, 3), by caption."""

    images: np.ndarray
    rows: Mapping[str, int]


def reranked_pictures(reranked: RerankedSamples) -> ModelPictures:
    """Our own: the winner among the most candidates."""
    winners = reranked.winners[:, -1].tolist()
    return ModelPictures(images=reranked.images, rows={reranked.keys[row][0]: row for row in winners})


def rival_pictures(name: str, samples: FolderSamples) -> ModelPictures:
    """Another model's; a ValueError where nobody knows which caption each picture is for."""
    if samples.captions is None:
        raise ValueError(
            f"human_eval: {name} cannot be compared: which caption each of its pictures is for is not recorded (match: none), "
            "so nobody can say whether a picture matches its caption"
        )
    rows = {caption_id: row for row, caption_id in enumerate(samples.captions["caption_id"])}
    return ModelPictures(images=samples.images[:], rows=rows)


def check_complete(models: Mapping[str, ModelPictures], caption_ids: Sequence[str]) -> None:
    """Every model has a picture for every caption, or a ValueError names the model and the captions without one."""
    for name, model in models.items():
        missing = [caption_id for caption_id in caption_ids if caption_id not in model.rows]
        if missing:
            raise ValueError(f"human_eval: {name} has no picture for {len(missing)} captions: {', '.join(missing[:5])}")


class PairPictures:
    """PNG bytes of either side of a pair, all of one size: a size of its own would tell a model.

    `models` by name, `real` by image id.
    """

    def __init__(self, models: Mapping[str, ModelPictures], real: Mapping[str, np.ndarray], size: int, seed: int) -> None:
        self._models, self._real, self._size, self._seed = models, real, size, seed

    def left(self, pair: PlacedPair) -> bytes:
        return self._png(pair, pair.left)

    def right(self, pair: PlacedPair) -> bytes:
        return self._png(pair, pair.right)

    def _png(self, pair: PlacedPair, source: str) -> bytes:
        return plain_png(evaluation_crop(self._pixels(pair, source), self._size))

    def _pixels(self, pair: PlacedPair, source: str) -> np.ndarray:
        if pair.kind in ("pair", "repeat"):
            model = self._models[source]
            return model.images[model.rows[pair.caption_id]]
        if source == NOISE:
            return noise(self._size, self._seed, pair.caption_id)
        assert source in (REAL, OTHER)
        return self._real[pair.image_id if source == REAL else pair.other_image_id]


def noise(size: int, seed: int, caption_id: str) -> np.ndarray:
    """Every pixel a random colour, uint8 (size, size, 3)."""
    return numpy_generator(seed, "human_eval noise", caption_id).integers(0, 256, (size, size, 3), dtype=np.uint8)


def plain_png(image: np.ndarray) -> bytes:
    """A PNG of nothing but its pixels: no text, date, profile or name."""
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, format="PNG")
    return buffer.getvalue()


def pixels(png: bytes) -> np.ndarray:
    """What `plain_png` was given."""
    return np.asarray(Image.open(io.BytesIO(png)))
