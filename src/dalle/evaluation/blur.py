"""Gaussian filters put on the reference and the samples before features are taken (PAPER 6, Fig. 9 a and b).

The paper says "Gaussian filter with varying radius" and no more; a number therefore always names the kind of its filter.
"""

from collections.abc import Callable

import numpy as np
from PIL import Image, ImageFilter

ORIGINALS_ONLY = "_originals_only"


def blur(images: np.ndarray, kind: str, radius: float) -> np.ndarray:
    """Blur uint8 images (N, H, W, 3) at their own resolution; `radius` in their pixels, 0 gives them back as they are."""
    if kind not in FILTERS:
        raise ValueError(f"blur_kind: {kind!r} is not known; known: {', '.join(sorted(FILTERS))}")
    if radius < 0:
        raise ValueError(f"a blur radius must be at least 0, got {radius}")
    if radius == 0:
        return images
    return np.stack([FILTERS[kind](image, radius) for image in images])


def filter_of(kind: str, *, is_reference: bool) -> str | None:
    """The filter that a kind of KINDS puts on the reference or on the samples; None where these stay as they are.

    `pil_originals_only` and its like blur the reference alone, as CogView did: that favours a model whose samples are blurred.
    """
    name = kind.removesuffix(ORIGINALS_ONLY)
    return name if is_reference or name == kind else None


def scaled_radius(radius: float, size: int, reference_size: int) -> float:
    """radius * size / reference_size: does to a picture of `size` pixels what `radius` does to one of `reference_size`.

    The paper's radii 0, 1, 2, 4, 8 are for 256 pixels; at 64 pixels they are 0, 1/4, 1/2, 1, 2.
    """
    return radius * size / reference_size


def pil(image: np.ndarray, radius: float) -> np.ndarray:
    """Pillow's GaussianBlur: three box blurs that approximate a Gaussian of standard deviation `radius`."""
    return np.asarray(Image.fromarray(image).filter(ImageFilter.GaussianBlur(radius)))


def gaussian(image: np.ndarray, radius: float) -> np.ndarray:
    """A sampled Gaussian of standard deviation `radius`, cut at four of them, edge pixels repeated."""
    return _gaussian(image, radius, mode="nearest")


def lafite(image: np.ndarray, radius: float) -> np.ndarray:
    """LAFITE's radius k: 2k + 1 taps of standard deviation sqrt(((2k + 1)^2 - 1) / 12), mirrored at the edges.

    Much weaker than the others at one radius. Radii between whole numbers, which LAFITE does not have, take the taps of the
    next larger one.
    """
    deviation = float(np.sqrt(((2 * radius + 1) ** 2 - 1) / 12))
    return _gaussian(image, deviation, mode="mirror", radius=int(np.ceil(radius)))


def _gaussian(image: np.ndarray, deviation: float, **options: str | int) -> np.ndarray:
    from scipy.ndimage import gaussian_filter  # imports that only these two kinds should pay

    blurred = gaussian_filter(image.astype(np.float64), deviation, axes=(0, 1), **options)
    return np.clip(np.rint(blurred), 0, 255).astype(np.uint8)


FILTERS: dict[str, Callable[[np.ndarray, float], np.ndarray]] = {"pil": pil, "gaussian": gaussian, "lafite": lafite}
KINDS = (*FILTERS, *(f"{name}{ORIGINALS_ONLY}" for name in FILTERS))
