"""Grounds of low saturation, so that colour belongs to the objects."""

import math
from collections.abc import Callable

import numpy as np
from PIL import Image

from dalle.miniworld.variety import Variety

CANONICAL_TINTS = (
    (240, 236, 226),  # linen
    (208, 220, 232),  # mist
    (120, 126, 134),  # dusk
)
TINTS = (
    (240, 236, 226),  # linen
    (219, 227, 235),  # mist
    (216, 226, 215),  # sage
    (235, 226, 230),  # pale rose
    (120, 126, 134),  # dusk
)


def draw_ground(name: str, rng: np.random.Generator, size: tuple[int, int], variety: Variety) -> np.ndarray:
    """A ground called `name` for a picture of `size` (width, height): float32 (H, W, 3) in [0, 255]."""
    return (_draw_canonical if variety.is_canonical else _draw_rich)(name, rng, size)


def around_square(square: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """The central square (side, side, ...) of a picture of `size` (width, height), continued by its edges."""
    rows, columns = size[1] - square.shape[0], size[0] - square.shape[1]
    pads = [(rows // 2, rows - rows // 2), (columns // 2, columns - columns // 2)] + [(0, 0)] * (square.ndim - 2)
    return np.pad(square, pads, mode="edge")


def _draw_canonical(name: str, rng: np.random.Generator, size: tuple[int, int]) -> np.ndarray:
    """One of three tints with a pattern that is always the same, so that codes and nats are spent on the objects."""
    base = np.array(CANONICAL_TINTS[int(rng.integers(len(CANONICAL_TINTS)))], np.float32)
    step = 18.0 * (1 if base.mean() < 150 else -1)
    mix = CANONICAL_PATTERNS[name](rng, min(size))
    return around_square((base + mix[..., None] * step).astype(np.float32), size)


def _draw_rich(name: str, rng: np.random.Generator, size: tuple[int, int]) -> np.ndarray:
    width, height = size
    # one row and one column: most patterns stay that small until they are mixed
    x = (np.arange(width, dtype=np.float32) / min(size))[None, :]
    y = (np.arange(height, dtype=np.float32) / min(size))[:, None]
    base = np.array(TINTS[int(rng.integers(len(TINTS)))], np.float32) + rng.normal(0, 1.5, 3).astype(np.float32)
    step = float(rng.uniform(12, 18)) * (1 if base.mean() < 150 else -1)
    other = base + step + rng.normal(0, 1.5, 3).astype(np.float32)
    mix = PATTERNS[name](rng, x, y, size)
    # soft light from one side, on every ground
    angle = float(rng.uniform(0, 2 * np.pi))
    light = 1 + 0.035 * (math.cos(angle) * (x - x.mean()) + math.sin(angle) * (y - y.mean()))
    return (base + mix[..., None] * (other - base)) * light[..., None]


def _plain(rng: np.random.Generator, x: np.ndarray, y: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    return np.zeros((1, 1), np.float32)


def _gradient(rng: np.random.Generator, x: np.ndarray, y: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    angle = float(rng.uniform(0, 2 * np.pi))
    slope = math.cos(angle) * x + math.sin(angle) * y
    return 2.4 * (slope - slope.min()) / np.ptp(slope)


def _stripes(rng: np.random.Generator, x: np.ndarray, y: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    angle = float(rng.choice([0.0, np.pi / 2, np.pi / 4, -np.pi / 4]) + rng.normal(0, 0.04))
    period = float(rng.uniform(0.30, 0.38))
    wave = np.sin(2 * np.pi * ((math.cos(angle) * x + math.sin(angle) * y) / period + float(rng.uniform())))
    # about one pixel of transition: stripes, not ripples
    return np.clip(0.5 + wave * period * min(size) / (2 * np.pi), 0, 1)


def _dots(rng: np.random.Generator, x: np.ndarray, y: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    period = float(rng.uniform(0.24, 0.30))
    angle = float(rng.choice([0.0, np.pi / 4]) + rng.normal(0, 0.04))
    u = (math.cos(angle) * x + math.sin(angle) * y) / period + float(rng.uniform())
    v = (math.cos(angle) * y - math.sin(angle) * x) / period + float(rng.uniform())
    distance = np.hypot(u - np.floor(u) - 0.5, v - np.floor(v) - 0.5) * period * min(size)
    return np.clip(float(rng.uniform(0.24, 0.30)) * period * min(size) - distance + 0.5, 0, 1)


def _paper(rng: np.random.Generator, x: np.ndarray, y: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    clouds = np.zeros(size[::-1], np.float32)
    for cells, weight in ((3, 0.55), (5, 0.25)):
        noise = rng.normal(0, 1, (cells, cells)).astype(np.float32)
        clouds += weight * np.asarray(Image.fromarray(noise).resize(size, Image.Resampling.BICUBIC))
    return 0.5 + 0.7 * clouds


PATTERNS = {"plain": _plain, "gradient": _gradient, "stripes": _stripes, "dots": _dots, "paper": _paper}


def _canonical_gradient(rng: np.random.Generator, side: int) -> np.ndarray:
    return np.broadcast_to(2.2 * _middles(side)[:, None], (side, side))


def _canonical_stripes(rng: np.random.Generator, side: int) -> np.ndarray:
    """Four stripes and the gaps between them, each an eighth of the side wide, upright or level."""
    wave = np.sin(2 * np.pi * 4 * _middles(side))
    # about one pixel of transition: stripes, not ripples
    stripes = np.broadcast_to(np.clip(0.5 + wave * side / (8 * np.pi), 0, 1), (side, side))
    return stripes if rng.uniform() < 0.5 else stripes.T


def _canonical_dots(rng: np.random.Generator, side: int) -> np.ndarray:
    """Sixteen dots, each within an eighth of the side, as far apart."""
    offsets = (4 * _middles(side) + 0.25) % 1 - 0.5
    distance = np.hypot(offsets[:, None], offsets[None, :]) / 4 * side
    return np.clip(0.055 * side - distance + 0.5, 0, 1)


def _canonical_paper(rng: np.random.Generator, side: int) -> np.ndarray:
    """Soft clouds, the same on every sheet."""
    noise = np.random.default_rng(11).normal(0, 1, (6, 6)).astype(np.float32)
    return 0.5 + 0.55 * np.asarray(Image.fromarray(noise).resize((side, side), Image.Resampling.BICUBIC))


def _middles(side: int) -> np.ndarray:
    """The middles of a row's pixels as fractions of the side: (side,)."""
    return (np.arange(side, dtype=np.float32) + 0.5) / side


CANONICAL_PATTERNS: dict[str, Callable[[np.random.Generator, int], np.ndarray]] = {
    "plain": lambda rng, side: np.zeros((side, side), np.float32),
    "gradient": _canonical_gradient,
    "stripes": _canonical_stripes,
    "dots": _canonical_dots,
    "paper": _canonical_paper,
}
