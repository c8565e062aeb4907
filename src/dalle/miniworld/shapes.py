"""Outlines of the shapes and their anti-aliased masks."""

from functools import lru_cache

import numpy as np
from PIL import Image, ImageDraw

SUPERSAMPLING = 4


@lru_cache(maxsize=None)
def outline(shape: str) -> np.ndarray:
    """The outer outline of a shape, (P, 2) points (x right, y down) that fill a box of about one around the origin."""
    points = {
        "circle": lambda: 0.95 * _circle(),
        "ring": _circle,
        "square": lambda: _round_corners(0.44 * np.array([(-1, -1), (1, -1), (1, 1), (-1, 1)]), 0.10),
        "triangle": lambda: _round_corners(np.array([(0, -0.50), (0.53, 0.44), (-0.53, 0.44)]), 0.07),
        "star": lambda: _round_corners(_star(), 0.045),
        "heart": _heart,
    }[shape]()
    centre = (points.min(0) + points.max(0)) / 2
    points = np.asarray(points - centre, dtype=np.float64)
    points.flags.writeable = False
    return points


HOLES = {"ring": 0.56}  # inner radius as a fraction of the outer


def placed_outline(shape: str, centre: tuple[float, float], extent: float, degrees: float) -> np.ndarray:
    """The outline, turned by `degrees` and scaled to `extent`, around `centre`: (P, 2) in the units of `extent`."""
    angle = np.deg2rad(degrees)
    cos, sin = np.cos(angle), np.sin(angle)
    x, y = outline(shape).T * extent
    return np.stack([centre[0] + cos * x - sin * y, centre[1] + sin * x + cos * y], axis=1)


def coverage(shape: str, centre: tuple[float, float], extent: float, degrees: float, size: tuple[int, int]) -> Image.Image:
    """How much of each pixel the shape covers: a greyscale picture of `size` (width, height), 255 is all of it."""
    scale = SUPERSAMPLING
    canvas = Image.new("L", (size[0] * scale, size[1] * scale))
    draw = ImageDraw.Draw(canvas)
    points = placed_outline(shape, centre, extent, degrees) * scale
    draw.polygon(points.ravel().tolist(), fill=255)
    if shape in HOLES:
        hole = (points - points.mean(0)) * HOLES[shape] + points.mean(0)
        draw.polygon(hole.ravel().tolist(), fill=0)
    return canvas.reduce(scale)


def _circle(num_points: int = 72) -> np.ndarray:
    angles = np.linspace(0, 2 * np.pi, num_points, endpoint=False)
    return 0.5 * np.stack([np.cos(angles), np.sin(angles)], axis=1)


def _star(inner: float = 0.47) -> np.ndarray:
    angles = np.arange(10) * np.pi / 5 - np.pi / 2
    radii = np.where(np.arange(10) % 2 == 0, 0.54, 0.54 * inner)
    return np.stack([radii * np.cos(angles), radii * np.sin(angles)], axis=1)


def _heart(num_points: int = 72) -> np.ndarray:
    t = np.linspace(0, 2 * np.pi, num_points, endpoint=False)
    x = 16 * np.sin(t) ** 3
    y = -(13 * np.cos(t) - 5 * np.cos(2 * t) - 2 * np.cos(3 * t) - np.cos(4 * t))
    return np.stack([x, y], axis=1) / 31


def _round_corners(corners: np.ndarray, radius: float) -> np.ndarray:
    """Every corner replaced by a quadratic curve that leaves its edges `radius` before the corner."""
    before, after = np.roll(corners, 1, axis=0), np.roll(corners, -1, axis=0)
    start = corners + radius * _unit(before - corners)
    end = corners + radius * _unit(after - corners)
    t = np.linspace(0, 1, 6)[None, :, None]
    curve = (1 - t) ** 2 * start[:, None] + 2 * t * (1 - t) * corners[:, None] + t**2 * end[:, None]
    return curve.reshape(-1, 2)


def _unit(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
