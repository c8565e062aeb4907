"""Item number i of a corpus, picture and truth: a function of (seed, corpus, i) and of nothing else."""

import json
from dataclasses import asdict, dataclass

import numpy as np
from PIL import Image

from dalle.miniworld.bird_pictures import render_bird
from dalle.miniworld.birds import Species
from dalle.miniworld.panels import Panels
from dalle.miniworld.pictures import draw_size, encode_jpeg, render_scene
from dalle.miniworld.scenes import Scene, draw_scene
from dalle.miniworld.variety import Variety
from dalle.randomness import numpy_generator

HELDOUT_FRACTION = 0.42  # of the scenes in `coco`
TRUTH_COLUMNS = ("pair_id", "image_id", "kind", "junk", "leak_of", "heldout", "attributes")


@dataclass(frozen=True, kw_only=True)
class CocoItem:
    image_id: int
    split: str  # train or val
    variety: Variety

    def scene(self, seed: int) -> Scene:
        heldout = numpy_generator(seed, "coco", self.image_id, "heldout").uniform() < HELDOUT_FRACTION
        return draw_scene(numpy_generator(seed, "coco", self.image_id, "scene"), heldout=bool(heldout), variety=self.variety)

    def picture(self, seed: int) -> Image.Image:
        rng = numpy_generator(seed, "coco", self.image_id, "picture")
        return render_scene(self.scene(seed), rng, draw_size(rng, self.variety), self.variety)


@dataclass(frozen=True, kw_only=True)
class CubItem:
    image_id: int  # from 1
    species_index: int
    number: int  # within its species, from 1
    species: Species
    split: str  # train or test, of the species
    variety: Variety

    def picture(self, seed: int) -> tuple[Image.Image, tuple[float, float, float, float]]:
        rng = numpy_generator(seed, "cub", self.image_id, "picture")
        return render_bird(self.species, rng, draw_size(rng, self.variety), self.variety)


def encode_original(image: Image.Image, rng: np.random.Generator) -> bytes:
    return encode_jpeg(image, int(rng.integers(90, 96)))


def scene_attributes(scene: Scene) -> str:
    return json.dumps(asdict(scene), sort_keys=True)


def panels_attributes(panels: Panels) -> str:
    return json.dumps(asdict(panels), sort_keys=True)


def panels_of(attributes: str) -> Panels:
    """What `panels_attributes` wrote."""
    values = json.loads(attributes)
    return Panels(**{**values, "centre": tuple(values["centre"])})


def bird_attributes(species: Species) -> str:
    return json.dumps(asdict(species), sort_keys=True)
