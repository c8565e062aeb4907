"""Picture and caption of every planned pair of the corpus `web`."""

import io
from dataclasses import dataclass, replace

import numpy as np
from PIL import Image

from dalle.miniworld.bird_pictures import render_bird
from dalle.miniworld.birds import Species, alt_text
from dalle.miniworld.captions import caption_scene
from dalle.miniworld.coco import coco_captions
from dalle.miniworld.cub import cub_captions
from dalle.miniworld.distractors import draw_distractor
from dalle.miniworld.items import CocoItem, CubItem, bird_attributes, encode_original, panels_attributes, scene_attributes
from dalle.miniworld.junk import boilerplate_caption, break_file, draw_extreme_size, short_caption
from dalle.miniworld.languages import foreign_caption
from dalle.miniworld.panel_captions import caption_panels
from dalle.miniworld.panels import KINDS, draw_panels
from dalle.miniworld.pictures import draw_panels_side, draw_size, encode_jpeg, render_panels, render_scene
from dalle.miniworld.scenes import draw_scene
from dalle.miniworld.variety import Variety
from dalle.miniworld.web_plan import WebItem
from dalle.randomness import numpy_generator


@dataclass(frozen=True, kw_only=True)
class WebPair:
    image_bytes: bytes
    caption: str
    size: tuple[int, int]  # (width, height)
    attributes: str  # JSON


def make_pair(item: WebItem, *, species: list[Species], evaluated: frozenset[int], seed: int, variety: Variety) -> WebPair:
    """Picture and caption of one planned pair; of scenes those alone that do not look like the `evaluated` ones."""
    rng = numpy_generator(seed, "web", item.index)
    if item.original is not None:
        return _repeat(
            make_pair(item.original, species=species, evaluated=evaluated, seed=seed, variety=variety), rng
        )
    if isinstance(item.leak, CocoItem):
        return _leak_scene(item.leak, rng, seed)
    if isinstance(item.leak, CubItem):
        return _leak_bird(item.leak, rng, seed)
    if item.kind == "bird":
        chosen = species[int(rng.integers(len(species)))]
        image, _ = render_bird(chosen, rng, draw_size(rng, variety), variety)
        return _pair(image, alt_text(chosen, rng), bird_attributes(chosen), rng)
    if item.kind == "distractor":
        image, caption = draw_distractor(rng, draw_size(rng, variety))
        return _pair(image, caption, "{}", rng)
    if item.kind == "panels":
        panels = draw_panels(rng, KINDS[int(rng.integers(len(KINDS)))], variety)
        image = render_panels(panels, rng, draw_panels_side(rng, variety), variety)
        return _pair(image, caption_panels(panels, rng), panels_attributes(panels), rng)
    return _scene_pair(item.junk, rng, variety, evaluated)


def _scene_pair(junk: str, rng: np.random.Generator, variety: Variety, evaluated: frozenset[int]) -> WebPair:
    scene = draw_scene(rng, heldout=False, variety=variety, unlike=evaluated)
    size = draw_extreme_size(rng) if junk == "aspect_ratio" else draw_size(rng, variety)
    image = render_scene(scene, rng, size, variety)
    caption = caption_scene(scene, rng)
    if junk == "too_short":
        caption = short_caption(rng)
    elif junk == "not_english":
        caption = foreign_caption(scene, rng)
    elif junk == "boilerplate":
        caption = boilerplate_caption(rng)
    pair = _pair(image, caption, scene_attributes(scene), rng)
    if junk != "undecodable":
        return pair
    return replace(pair, image_bytes=break_file(pair.image_bytes, rng))


def _pair(image: Image.Image, caption: str, attributes: str, rng: np.random.Generator) -> WebPair:
    return WebPair(image_bytes=encode_original(image, rng), caption=caption, size=image.size, attributes=attributes)


def _repeat(pair: WebPair, rng: np.random.Generator) -> WebPair:
    """The same caption with the same bytes or, one time in five, with the picture saved once more."""
    if rng.uniform() < 0.8:
        return pair
    again = encode_jpeg(Image.open(io.BytesIO(pair.image_bytes)), int(rng.integers(70, 86)))
    return replace(pair, image_bytes=again)


def _leak_scene(item: CocoItem, rng: np.random.Generator, seed: int) -> WebPair:
    scene, known = item.scene(seed), coco_captions(item, seed)
    while (caption := caption_scene(scene, rng)) in known:
        pass
    original = encode_original(item.picture(seed), numpy_generator(seed, "coco", item.image_id, "jpeg"))
    return _reposted(original, caption, scene_attributes(scene), rng)


def _leak_bird(item: CubItem, rng: np.random.Generator, seed: int) -> WebPair:
    known = cub_captions(item, seed)
    while (caption := alt_text(item.species, rng)) in known:
        pass
    original = encode_original(item.picture(seed)[0], numpy_generator(seed, "cub", item.image_id, "jpeg"))
    return _reposted(original, caption, bird_attributes(item.species), rng)


def _reposted(image_bytes: bytes, caption: str, attributes: str, rng: np.random.Generator) -> WebPair:
    """The published file, cut by up to 3 % at each edge, resized by up to 10 % and saved at a lower quality."""
    image = Image.open(io.BytesIO(image_bytes))
    left, top, right, bottom = rng.uniform(0, 0.03, 4) * (image.size * 2)
    box = (float(left), float(top), float(image.width - right), float(image.height - bottom))
    scale = rng.uniform(0.9, 1.1)
    size = (max(64, round((box[2] - box[0]) * scale)), max(64, round((box[3] - box[1]) * scale)))
    again = image.resize(size, Image.Resampling.BICUBIC, box=box)
    encoded = encode_jpeg(again, int(rng.integers(72, 89)))
    return WebPair(image_bytes=encoded, caption=caption, size=size, attributes=attributes)
