"""A bird on a branch before soft foliage, painted from its species' attributes."""

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from dalle.miniworld.birds import PLUMAGE, Species
from dalle.miniworld.grounds import around_square
from dalle.miniworld.pictures import cast_shadow, to_image
from dalle.miniworld.variety import RICH, Variety

SCALE = 3  # supersampling

FOLIAGE = (
    ((198, 214, 190), (158, 186, 150), (222, 226, 200)),
    ((200, 216, 230), (226, 234, 238), (176, 200, 220)),
    ((226, 214, 190), (204, 186, 156), (236, 230, 214)),
    ((190, 206, 204), (154, 180, 182), (216, 224, 220)),
)

# a bird that looks right, about one long, around the origin; x to the right, y down; closed smooth curves
BODY = [(0.26, -0.02), (0.25, -0.16), (0.10, -0.20), (-0.12, -0.12), (-0.31, 0.05), (-0.18, 0.17), (0.04, 0.20), (0.20, 0.12)]
BELLY = [(0.25, -0.03), (0.20, 0.115), (0.04, 0.195), (-0.17, 0.165), (-0.22, 0.12), (-0.06, 0.10), (0.10, 0.04), (0.18, -0.07)]
WING = [(0.10, -0.06), (0.00, -0.11), (-0.20, -0.01), (-0.41, 0.13), (-0.20, 0.11), (-0.01, 0.09), (0.09, 0.03)]
HEAD, HEAD_RADIUS = (0.205, -0.195), 0.125
TAIL_LENGTHS = {"short": 0.16, "long": 0.36}
BILL_LENGTHS = {"short": 0.085, "long": 0.20}


def render_bird(
    species: Species, rng: np.random.Generator, size: tuple[int, int], variety: Variety = RICH
) -> tuple[Image.Image, tuple[float, float, float, float]]:
    """A picture of `size` (width, height) and the bird's bounding box (x, y, width, height) in pixels."""
    canvas = _foliage(rng, size, variety)
    to_pixels, extent = _pose(species, rng, size, variety)
    light = float(rng.uniform(*variety.light) * np.pi)
    branch = Image.new("RGBA", (size[0] * SCALE, size[1] * SCALE))
    _draw_branch(ImageDraw.Draw(branch), rng, to_pixels, extent, size, variety)
    _lay_over(canvas, branch.reduce(SCALE), extent, light)
    layer = Image.new("RGBA", branch.size)
    _draw_bird(ImageDraw.Draw(layer), species, rng, to_pixels, variety.feather_noise)
    bird = layer.reduce(SCALE)
    _lay_over(canvas, bird, extent, light)
    left, top, right, bottom = bird.getchannel("A").point(lambda alpha: 255 * (alpha > 127)).getbbox()
    return to_image(canvas), (float(left), float(top), float(right - left), float(bottom - top))


def _pose(species: Species, rng: np.random.Generator, size: tuple[int, int], variety: Variety):
    """A function from bird coordinates to pixels, and the length of the unit in pixels."""
    side = min(size)
    extent = side * float(rng.uniform(*variety.bird_extent)) * (0.88 if species.tail == "long" else 1.0)
    angle = np.deg2rad(rng.uniform(*variety.bird_degrees))
    flip = 1 if rng.uniform() < 0.5 else -1
    # the tail pulls the picture's centre of the bird backwards
    behind = 0.5 * (TAIL_LENGTHS[species.tail] - BILL_LENGTHS[species.bill] - 0.06)
    origin = np.array(size) / 2 + (flip * behind * extent, 0.01 * side) + rng.normal(0, variety.bird_jitter * side, 2)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])

    def to_pixels(points) -> np.ndarray:
        return (np.asarray(points, np.float64) @ turn.T * extent * (flip, 1)) + origin

    return to_pixels, extent


def _draw_bird(
    draw: ImageDraw.ImageDraw, species: Species, rng: np.random.Generator, to_pixels, feather_noise: float
) -> None:
    def fill(points, colour: tuple[int, ...]) -> None:
        draw.polygon((to_pixels(points) * SCALE).ravel().tolist(), fill=colour)

    colours = (species.crown, species.back, species.wing, species.belly)
    crown, back, wing, belly = (_feather(rng, name, feather_noise) for name in colours)
    length = TAIL_LENGTHS[species.tail]
    for foot in (-0.02, 0.07):
        leg = [(foot, 0.16), (foot + 0.012, 0.16), (foot + 0.037, 0.30), (foot + 0.018, 0.30)]
        fill(leg, (96, 74, 58, 255))
    drop = 0.42 * length
    fill([(-0.20, -0.02), (-0.29 - length, 0.07 + drop), (-0.24 - length, 0.15 + drop), (-0.18, 0.13)], _darker(wing))
    reach = HEAD[0] + HEAD_RADIUS - 0.03 + BILL_LENGTHS[species.bill]
    fill([(HEAD[0] + 0.09, -0.235), (reach, -0.175), (HEAD[0] + 0.09, -0.155)], (74, 66, 58, 255))
    fill([(HEAD[0] + 0.09, -0.192), (reach, -0.175), (HEAD[0] + 0.08, -0.150)], (112, 98, 80, 255))
    fill(_smooth(BODY), back)
    fill(_smooth(BELLY), belly)
    fill(_arc(0, 360, HEAD_RADIUS), back)
    brow = [(HEAD[0] + 0.03, HEAD[1] - 0.005), (HEAD[0] - 0.07, HEAD[1] + 0.03)]
    fill(_smooth([*_arc(168, 385, HEAD_RADIUS)[::6], *brow]), crown)
    fill(_smooth(WING), wing)
    for row in (0.0, 0.035, 0.07):
        middle = -0.20 - row / 2
        feather = [(-0.03 - row, -0.055 + row), (middle, 0.02 + row), (-0.33, 0.095 + row / 6), (middle, 0.032 + row)]
        fill(feather, _darker(wing, 0.80))
    eye = np.array(HEAD) + (0.045, -0.012)
    fill(_arc(0, 360, 0.027, eye), (236, 232, 224, 255))
    fill(_arc(0, 360, 0.022, eye), (24, 22, 24, 255))
    fill(_arc(0, 360, 0.007, eye + (0.007, -0.008)), (255, 255, 255, 255))


def _draw_branch(
    draw, rng: np.random.Generator, to_pixels, extent: float, size: tuple[int, int], variety: Variety
) -> None:
    foot = to_pixels([(0.06, 0.30)])[0]
    x = np.linspace(-4, size[0] + 4, 12)
    if variety.is_canonical:  # level, with one leaf on either side of the bird
        y, thickness = np.full(12, foot[1]), extent * np.full(12, 0.032)
        leaves = [(size[0] / 2 + (0.30 if rng.uniform() < 0.5 else -0.30) * min(size), 1.2, 0.14)]
    else:
        slope = rng.uniform(-0.12, 0.12)
        y = foot[1] + slope * (x - foot[0]) + 0.012 * extent * np.sin(x / size[0] * rng.uniform(4, 9))
        thickness = extent * np.linspace(*rng.permutation([0.022, 0.04]), 12)
        leaves = [_random_leaf(rng, size) for _ in range(int(rng.integers(1, 4)))]
    points = np.concatenate([np.stack([x, y], 1), np.stack([x, y + 2 * thickness], 1)[::-1]]) * SCALE
    draw.polygon(points.ravel().tolist(), fill=(118, 92, 70, 255))
    for at, angle, length in leaves:
        leaf = _leaf((at, np.interp(at, x, y + thickness)), angle, length * extent)
        draw.polygon((leaf * SCALE).ravel().tolist(), fill=(112, 140, 88, 255))


def _random_leaf(rng: np.random.Generator, size: tuple[int, int]) -> tuple[float, float, float]:
    """Where on the branch a leaf is, its direction, and its length; it hangs, or now and then stands."""
    at = rng.uniform(0, size[0])
    angle = rng.uniform(-2.6, -0.5) if rng.uniform() < 0.3 else rng.uniform(0.5, 2.6)
    return at, angle, rng.uniform(0.10, 0.16)


def _leaf(start: tuple[float, float], angle: float, length: float) -> np.ndarray:
    """The outline of a leaf from `start`: (P, 2) pixels."""
    t = np.linspace(0, 1, 7)
    half = 0.28 * np.sin(np.pi * t)
    along, across = np.concatenate([t, t[::-1]]) * length, np.concatenate([half, -half[::-1]]) * length
    cos, sin = np.cos(angle), np.sin(angle)
    return np.array(start) + np.stack([cos * along - sin * across, sin * along + cos * across], axis=1)


def _lay_over(canvas: np.ndarray, layer: Image.Image, extent: float, light: float) -> None:
    """Composite an RGBA layer with a soft shadow and light from above."""
    mask = layer.getchannel("A")
    cast_shadow(canvas, mask, 0.7 * extent, light, strength=0.22)
    alpha = np.asarray(mask, np.float32) / 255
    inner = np.asarray(mask.filter(ImageFilter.GaussianBlur(0.03 * extent)), np.float32) / 255
    rows = np.linspace(0.07, -0.07, canvas.shape[0], dtype=np.float32)[:, None]
    colour = np.asarray(layer, np.float32)[..., :3] * ((0.84 + 0.16 * inner) * (1 + rows))[..., None]
    canvas += alpha[..., None] * (colour - canvas)


def _foliage(rng: np.random.Generator, size: tuple[int, int], variety: Variety) -> np.ndarray:
    """Soft out-of-focus colours: float32 (H, W, 3)."""
    tints = np.array(FOLIAGE[int(rng.integers(len(FOLIAGE)))], np.float32)
    leaves = np.random.default_rng(5) if variety.is_canonical else rng  # the same leaves, in the light of four days
    cells = tints[leaves.integers(len(tints), size=(5, 5))] + leaves.normal(0, 5, (5, 5, 1))
    coarse = Image.fromarray(np.clip(cells, 0, 255).astype(np.uint8))
    side = min(size)
    shape = (side, side) if variety.is_canonical else size
    return around_square(np.array(coarse.resize(shape, Image.Resampling.BICUBIC), np.float32), size)


def _feather(rng: np.random.Generator, name: str, noise: float) -> tuple[int, ...]:
    colour = np.array(PLUMAGE[name]) + rng.normal(0, noise, 3)
    return (*np.clip(colour, 0, 255).astype(int).tolist(), 255)


def _darker(colour: tuple[int, ...], factor: float = 0.86) -> tuple[int, ...]:
    return (*(int(value * factor) for value in colour[:3]), 255)


def _arc(start: float, stop: float, radius: float, centre=HEAD) -> np.ndarray:
    angles = np.deg2rad(np.linspace(start, stop, 37))
    return np.asarray(centre) + radius * np.stack([np.cos(angles), np.sin(angles)], axis=1)


def _smooth(points, steps: int = 6) -> np.ndarray:
    """A closed Catmull-Rom curve through the points."""
    p1 = np.asarray(points, np.float64)
    p0, p2, p3 = np.roll(p1, 1, 0), np.roll(p1, -1, 0), np.roll(p1, -2, 0)
    t = np.linspace(0, 1, steps, endpoint=False)[:, None, None]
    curve = 2 * p1 + (p2 - p0) * t + (2 * p0 - 5 * p1 + 4 * p2 - p3) * t**2 + (3 * p1 - p0 - 3 * p2 + p3) * t**3
    return 0.5 * curve.transpose(1, 0, 2).reshape(-1, 2)


def bird_alone(
    species: Species, rng: np.random.Generator, size: tuple[int, int], variety: Variety = RICH
) -> Image.Image:
    """The bird in one of the poses of `render_bird`, RGBA, without branch, foliage, light and shadow."""
    to_pixels, _ = _pose(species, rng, size, variety)
    layer = Image.new("RGBA", (size[0] * SCALE, size[1] * SCALE))
    _draw_bird(ImageDraw.Draw(layer), species, np.random.default_rng(0), to_pixels, variety.feather_noise)
    return layer.reduce(SCALE)
