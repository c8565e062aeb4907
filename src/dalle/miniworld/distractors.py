"""Pictures of neither shapes nor birds: hills and abstract paintings, as the rest of the web is to a benchmark."""

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from dalle.miniworld.captions import sentence_case

LANDSCAPE_CAPTIONS = (
    "misty hills at {time}",
    "a quiet mountain landscape at {time}",
    "rolling hills under a wide sky at {time}",
    "view over the valley at {time}",
    "landscape painting of distant mountains at {time}",
)
ABSTRACT_CAPTIONS = (
    "abstract painting with flowing lines",
    "abstract art print in {tone} tones",
    "colourful waves, modern wall art",
    "flowing lines in {tone} colours, digital wallpaper",
    "soft abstract background in {tone} tones",
)
SKIES = {
    "dawn": ((250, 214, 190), (150, 170, 205), (72, 92, 120)),
    "noon": ((190, 220, 240), (130, 170, 140), (50, 100, 72)),
    "sunset": ((250, 180, 120), (170, 110, 130), (70, 50, 90)),
    "dusk": ((150, 150, 190), (90, 100, 140), (36, 44, 72)),
}
TONES = {
    "warm": ((196, 90, 60), (240, 190, 120), (120, 50, 60)),
    "cool": ((60, 120, 170), (170, 210, 220), (50, 70, 120)),
    "earthy": ((140, 110, 80), (210, 190, 150), (90, 100, 70)),
    "pastel": ((230, 190, 200), (190, 215, 225), (235, 225, 190)),
}


def draw_distractor(rng: np.random.Generator, size: tuple[int, int]) -> tuple[Image.Image, str]:
    """A picture of `size` (width, height) and its caption."""
    if rng.uniform() < 0.5:
        time = tuple(SKIES)[int(rng.integers(len(SKIES)))]
        image, captions, words = _landscape(rng, size, time), LANDSCAPE_CAPTIONS, {"time": time}
    else:
        tone = tuple(TONES)[int(rng.integers(len(TONES)))]
        image, captions, words = _abstract(rng, size, tone), ABSTRACT_CAPTIONS, {"tone": tone}
    caption = captions[int(rng.integers(len(captions)))].format(**words)
    return image, sentence_case(caption, rng)


def _landscape(rng: np.random.Generator, size: tuple[int, int], time: str) -> Image.Image:
    """Layers of hills, each darker than the one behind, under a bright horizon."""
    width, height = size[0] * 2, size[1] * 2
    sky, far, near = (np.array(colour, np.float64) for colour in SKIES[time])
    rows = np.linspace(0.86, 1.06, height)[:, None, None]
    image = Image.fromarray(np.clip(np.broadcast_to(sky * rows, (height, width, 3)), 0, 255).astype(np.uint8))
    draw = ImageDraw.Draw(image)
    sun = rng.uniform((0.2, 0.12), (0.8, 0.3)) * (width, height)
    radius = 0.07 * min(width, height)
    draw.ellipse([*(sun - radius), *(sun + radius)], fill=(255, 246, 225))
    x = np.arange(0, width + 4, 4)
    num_layers = int(rng.integers(3, 6))
    for layer in range(num_layers):
        depth = layer / (num_layers - 1)
        ridge = sum(rng.normal(0, 0.05 / k) * np.sin(x / width * 2 * np.pi * k + rng.uniform(0, 6.3)) for k in range(1, 6))
        y = height * (0.42 + 0.42 * depth + ridge)
        points = [(0, height), *zip(x.tolist(), y.tolist(), strict=True), (width, height)]
        draw.polygon(points, fill=tuple(int(value) for value in far + depth * (near - far)))
    return image.reduce(2)


def _abstract(rng: np.random.Generator, size: tuple[int, int], tone: str) -> Image.Image:
    """Broad flowing bands of three related colours."""
    width, height = size
    y, x = np.mgrid[0:height, 0:width] / min(size)
    angle = rng.uniform(0, np.pi)
    field = rng.uniform(2, 4) * (np.cos(angle) * x + np.sin(angle) * y)
    for _ in range(3):
        direction, frequency = rng.uniform(0, 2 * np.pi), rng.uniform(3, 8)
        field += 0.35 * np.sin(frequency * (np.cos(direction) * x + np.sin(direction) * y) + rng.uniform(0, 6.3))
    first, second, third = (np.array(colour, np.float64) for colour in TONES[tone])
    wave, slow = (0.5 + 0.5 * np.sin(2.6 * field))[..., None], (0.5 + 0.5 * np.sin(0.9 * field + 1))[..., None]
    canvas = (first + wave * (second - first)) * (1 - 0.6 * slow) + 0.6 * slow * third
    return Image.fromarray(np.clip(canvas, 0, 255).astype(np.uint8)).filter(ImageFilter.GaussianBlur(0.6))
