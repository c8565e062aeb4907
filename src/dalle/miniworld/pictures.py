"""Scenes and panels as pictures: soft shadow, gentle light, jittered colour; and pictures as JPEG bytes."""

import io
import math

import numpy as np
from PIL import Image, ImageFilter

from dalle.miniworld.grounds import draw_ground
from dalle.miniworld.panels import Panels
from dalle.miniworld.scenes import Scene, SceneObject
from dalle.miniworld.shapes import coverage
from dalle.miniworld.variety import RICH, Variety
from dalle.miniworld.vocabulary import COLOURS
from dalle.randomness import numpy_generator

MAX_SIDE = 128


def draw_size(rng: np.random.Generator, variety: Variety = RICH) -> tuple[int, int]:
    """(width, height): mostly between 3:4 and 4:3, a few up to the 1:2 that filters must still keep."""
    lowest, highest = variety.short_side
    if rng.uniform() < 0.03:
        short, long = 64 if variety.is_canonical else int(rng.integers(64, 81)), MAX_SIDE
    else:
        short = int(rng.integers(lowest, highest + 1))
        long = int(rng.integers(short, min(MAX_SIDE, short * 4 // 3) + 1))
    if variety.is_canonical:  # the central square begins at a whole pixel
        long -= (long - short) % 2
    return (short, long) if rng.uniform() < 0.5 else (long, short)


def draw_panels_side(rng: np.random.Generator, variety: Variety = RICH) -> int:
    """The side of a square picture with two halves of as many pixels."""
    shortest, longest = variety.short_side[0], variety.short_side[0] if variety.is_canonical else MAX_SIDE
    return 2 * int(rng.integers(shortest // 2, longest // 2 + 1))


def render_scene(scene: Scene, rng: np.random.Generator, size: tuple[int, int], variety: Variety = RICH) -> Image.Image:
    """Paint the scene on a picture of `size` (width, height); positions are relative to its central square."""
    canvas = draw_ground(scene.ground, rng, size, variety)
    light = float(rng.uniform(*variety.light) * np.pi)
    for item in scene.objects:
        _paint(canvas, item, rng, size, light, variety)
    return to_image(canvas)


def render_panels(panels: Panels, rng: np.random.Generator, side: int, variety: Variety = RICH) -> Image.Image:
    """Paint both halves of a square picture of an even `side`: ground, light and jitter of the top are those of the bottom."""
    half = draw_ground(panels.ground, rng, (side, side), variety)[: side // 2]
    light, jitter = float(rng.uniform(*variety.light) * np.pi), int(rng.integers(2**32))

    def panel(colour: str) -> np.ndarray:
        canvas = half.copy()
        _paint(canvas, panels.top(colour), numpy_generator(jitter, "panel"), (side, side), light, variety)
        return canvas

    top = panel(panels.colour)
    bottom = panel(panels.colour_below) if panels.kind == "recoloured" else top
    return to_image(np.concatenate([top, bottom[::-1] if panels.kind == "reflected" else bottom]))


def to_image(canvas: np.ndarray) -> Image.Image:
    return Image.fromarray(np.clip(canvas + 0.5, 0, 255).astype(np.uint8))


def encode_jpeg(image: Image.Image, quality: int) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=quality, subsampling=0)  # colours as sharp as the rest
    return buffer.getvalue()


def shift(mask: Image.Image, dx: float, dy: float) -> Image.Image:
    return mask.transform(mask.size, Image.Transform.AFFINE, (1, 0, -dx, 0, 1, -dy), Image.Resampling.BILINEAR)


def cast_shadow(canvas: np.ndarray, mask: Image.Image, extent: float, light: float, strength: float) -> None:
    """Darken `canvas` under a copy of `mask` moved away from the light and blurred; lengths in pixels."""
    moved = shift(mask, -0.05 * extent * math.cos(light), 0.05 * extent * math.sin(light))
    soft = np.asarray(moved.filter(ImageFilter.GaussianBlur(0.05 * extent)), np.float32)
    canvas *= (1 - (strength / 255) * soft)[..., None]


def _paint(
    canvas: np.ndarray, item: SceneObject, rng: np.random.Generator, size: tuple[int, int], light: float, variety: Variety
) -> None:
    """Add one object with its shadow; only the window around it is touched."""
    side = min(size)
    centre = ((size[0] - side) / 2 + item.centre[0] * side, (size[1] - side) / 2 + item.centre[1] * side)
    extent = item.extent * side
    reach = 0.85 * extent + 2
    left, top = max(int(centre[0] - reach), 0), max(int(centre[1] - reach), 0)
    window = canvas[top : int(centre[1] + reach), left : int(centre[0] + reach)]
    x, y = centre[0] - left, centre[1] - top
    mask = coverage(item.shape, (x, y), extent, item.degrees, window.shape[1::-1])
    cast_shadow(window, mask, extent, light, strength=0.30)
    scale, noise = float(rng.uniform(*variety.tint_scale)), rng.normal(0, variety.tint_noise, 3).astype(np.float32)
    tint = np.array(COLOURS[item.colour], np.float32) * scale + noise
    colour = _lit(tint, mask, (x, y), extent, light)
    alpha = np.asarray(mask, np.float32)[..., None] / 255
    window += alpha * (colour - window)


def _lit(tint: np.ndarray, mask: Image.Image, centre: tuple[float, float], extent: float, light: float) -> np.ndarray:
    """The object's colour at every pixel: darker at its edge, brighter towards the light, with a soft gloss."""
    inner = np.asarray(mask.filter(ImageFilter.GaussianBlur(0.07 * extent)), np.float32) / 255
    cos, sin = math.cos(light), math.sin(light)
    u = ((np.arange(mask.width, dtype=np.float32) + 0.5 - centre[0]) / extent)[None, :]
    v = ((np.arange(mask.height, dtype=np.float32) + 0.5 - centre[1]) / extent)[:, None]
    shade = (0.83 + 0.17 * inner) * (1 + 0.20 * (cos * u - sin * v))
    gloss = (0.20 * np.exp((u - 0.22 * cos) ** 2 / -0.03)) * np.exp((v + 0.22 * sin) ** 2 / -0.03)
    # light * (1 - gloss) + white * gloss, in one pass over the three channels
    return tint * (shade * (1 - gloss))[..., None] + (255 * gloss)[..., None]
