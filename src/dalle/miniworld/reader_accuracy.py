"""How often the reader is right on fresh renders: the error bar of every caption accuracy."""

import io

import numpy as np
from PIL import Image

from dalle.miniworld.bird_pictures import render_bird
from dalle.miniworld.bird_reader import PARTS, BirdQuery, birds_show
from dalle.miniworld.birds import Species, draw_species
from dalle.miniworld.captions import ObjectQuery, SceneQuery
from dalle.miniworld.items import encode_original
from dalle.miniworld.panel_reader import shows_panels
from dalle.miniworld.panels import KINDS, Panels, draw_panels
from dalle.miniworld.pictures import draw_panels_side, draw_size, render_panels, render_scene
from dalle.miniworld.reader import shows
from dalle.miniworld.scenes import Scene, draw_scene
from dalle.miniworld.variety import RICH, Variety
from dalle.randomness import numpy_generator

NUM_SPECIES = 100  # whose birds the reader is judged on


def reader_accuracy(num_images: int, seed: int, size: int, variety: Variety = RICH) -> float:
    """The fraction of fresh scenes, at `size` px, whose every attribute and relation the reader finds."""
    if num_images < 1:
        raise ValueError(f"num_images: must be at least 1, got {num_images}")
    right = 0
    for index in range(num_images):
        scene, image = fresh_render(index, seed, size, variety)
        right += shows(image, full_query(scene))
    return right / num_images


def fresh_render(index: int, seed: int, size: int, variety: Variety = RICH) -> tuple[Scene, np.ndarray]:
    """Scene number `index` and its picture as a corpus would hold it, centre-cropped and averaged to (size, size, 3)."""
    rng = numpy_generator(seed, "reader", index)
    scene = draw_scene(rng, heldout=bool(index % 2), variety=variety)
    encoded = encode_original(render_scene(scene, rng, draw_size(rng, variety), variety), rng)
    return scene, central_square(Image.open(io.BytesIO(encoded)), size)


def panel_reader_accuracy(num_images: int, seed: int, size: int, variety: Variety = RICH) -> float:
    """The fraction of fresh panels, at `size` px, that the reader finds to be what they are."""
    if num_images < 1:
        raise ValueError(f"num_images: must be at least 1, got {num_images}")
    renders = (fresh_panels(index, seed, size, variety) for index in range(num_images))
    return sum(shows_panels(image, panels) for panels, image in renders) / num_images


def fresh_panels(index: int, seed: int, size: int, variety: Variety = RICH) -> tuple[Panels, np.ndarray]:
    """Panels number `index`, kinds in turn, and their picture as a corpus would hold it, averaged to (size, size, 3)."""
    rng = numpy_generator(seed, "panel reader", index)
    panels = draw_panels(rng, KINDS[index % len(KINDS)], variety)
    encoded = encode_original(render_panels(panels, rng, draw_panels_side(rng, variety), variety), rng)
    return panels, central_square(Image.open(io.BytesIO(encoded)), size)


def bird_reader_accuracy(num_images: int, seed: int, size: int, variety: Variety = RICH) -> float:
    """The fraction of fresh birds, at `size` px, of which the reader finds the colours of all parts."""
    if num_images < 1:
        raise ValueError(f"num_images: must be at least 1, got {num_images}")
    birds = [fresh_bird(index, seed, size, variety) for index in range(num_images)]
    return float(birds_show(np.stack([image for _, image in birds]), [all_parts(species) for species, _ in birds]).mean())


def fresh_bird(index: int, seed: int, size: int, variety: Variety = RICH) -> tuple[Species, np.ndarray]:
    """Bird number `index`, its species in turn, and its picture as a corpus would hold it, averaged to (size, size, 3)."""
    rng, species = numpy_generator(seed, "bird reader", index), draw_species(NUM_SPECIES, seed)
    picture, _ = render_bird(species[index % NUM_SPECIES], rng, draw_size(rng, variety), variety)
    return species[index % NUM_SPECIES], central_square(Image.open(io.BytesIO(encode_original(picture, rng))), size)


def all_parts(species: Species) -> BirdQuery:
    """All there is to say about a bird's colours."""
    return BirdQuery(colours=tuple((part, getattr(species, part)) for part in PARTS))


def central_square(image: Image.Image, size: int) -> np.ndarray:
    side = min(image.size)
    left, top = (image.width - side) // 2, (image.height - side) // 2
    square = image.resize((size, size), Image.Resampling.BOX, box=(left, top, left + side, top + side))
    return np.asarray(square.convert("RGB"))


def full_query(scene: Scene) -> SceneQuery:
    """All there is to say about a scene."""
    objects = tuple(ObjectQuery(shape=item.shape, colour=item.colour, size=item.size) for item in scene.objects)
    return SceneQuery(objects=objects, relation=scene.relation)
