"""Pictures as the detector sees them, and altered copies of them as they go round the web."""

import io

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

MOST_CUT = 0.3  # of the width and of the height
RESAMPLINGS = (
    Image.Resampling.BOX, Image.Resampling.BILINEAR, Image.Resampling.HAMMING, Image.Resampling.BICUBIC,
    Image.Resampling.LANCZOS,
)  # fmt: skip
LETTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789@."


def squeezed(image: np.ndarray, size: int) -> np.ndarray:
    """uint8 (H, W, 3) to (size, size, 3): the whole picture, whatever its shape.

    The middle square that the models see would lose what a copy cut at one side still shows.
    """
    return np.asarray(Image.fromarray(image).resize((size, size), Image.Resampling.BOX))


def altered_copy(image: np.ndarray, size: int, rng: np.random.Generator) -> np.ndarray:
    """A copy of a uint8 picture (H, W, 3) as others would post it, squeezed to (size, size, 3).

    In this order, each drawn by itself: cut at the edges, made smaller and larger again, blurred, brightness, contrast,
    saturation and tint changed, a word or a plate pasted on, saved as JPEG. Never mirrored: the search does that.
    """
    copy = _cut(image, size, rng)
    if rng.random() < 0.5:
        side = int(rng.integers(max(1, size // 2), size + 1))
        copy = copy.resize((side, side), _resampling(rng)).resize((size, size), _resampling(rng))
    if rng.random() < 0.3:
        copy = copy.filter(ImageFilter.GaussianBlur(rng.uniform(0, 0.02) * size))
    copy = _recoloured(copy, rng)
    if rng.random() < 0.3:
        _paste_on(copy, rng)
    return np.asarray(_saved(copy, int(rng.integers(25, 96))))


def _cut(image: np.ndarray, size: int, rng: np.random.Generator) -> Image.Image:
    """Up to MOST_CUT of either side goes, mostly little: the square of a uniform number."""
    extent = np.array(image.shape[1::-1])
    kept = (1 - MOST_CUT * rng.random(2) ** 2) * extent
    corner = rng.random(2) * (extent - kept)
    box = tuple(map(float, (*corner, *np.minimum(corner + kept, extent))))
    return Image.fromarray(image).resize((size, size), _resampling(rng), box=box)


def _resampling(rng: np.random.Generator) -> Image.Resampling:
    return RESAMPLINGS[int(rng.integers(len(RESAMPLINGS)))]


def _recoloured(copy: Image.Image, rng: np.random.Generator) -> Image.Image:
    pixels = np.asarray(copy, np.float32)
    grey = pixels.mean(axis=2, keepdims=True)
    pixels = grey + rng.uniform(0.7, 1.3) * (pixels - grey)
    mean = pixels.mean()
    pixels = mean + rng.uniform(0.75, 1.25) * (pixels - mean) + rng.uniform(-25, 25)
    pixels = pixels * rng.uniform(0.94, 1.06, 3)
    return Image.fromarray((pixels + 0.5).clip(0, 255).astype(np.uint8))


def _paste_on(copy: Image.Image, rng: np.random.Generator) -> None:
    """A word in PIL's own font, or a plain plate as a logo would have, somewhere on the picture."""
    draw, side = ImageDraw.Draw(copy), copy.width
    place, colour = rng.uniform(0, 0.8, 2) * side, tuple(map(int, rng.integers(0, 256, 3)))
    if rng.random() < 0.5:
        word = "".join(LETTERS[index] for index in rng.integers(0, len(LETTERS), int(rng.integers(3, 9))).tolist())
        draw.text(tuple(place), word, fill=colour, font_size=max(6, round(rng.uniform(0.08, 0.18) * side)))
    else:
        extent = rng.uniform(0.06, 0.22, 2) * side
        draw.rectangle((*place, *(place + extent)), fill=colour)


def _saved(copy: Image.Image, quality: int) -> Image.Image:
    buffer = io.BytesIO()
    copy.save(buffer, "JPEG", quality=quality)
    return Image.open(io.BytesIO(buffer.getvalue())).convert("RGB")
