"""Planted junk: captions that say nothing and files that cannot be opened."""

import numpy as np

KINDS = ("too_short", "not_english", "boilerplate", "aspect_ratio", "undecodable", "duplicate")

# at most two words; every other caption of the world but file names has at least three
SHORT = tuple("red blue star heart new a img image photo pic untitled".split()) + ("nice pic", "my photo", "no title")

FILE_NAMES = ("IMG_{n:04d}.jpg", "DSC{n:05d}.JPG", "image_{n:04d}.png", "P10{n:05d}.jpg", "IMG-{n:08d}.jpeg")
DATED = (
    "photographed on {}",
    "photo taken on {}",
    "image taken on {}",
    "picture taken on {}",
    "uploaded on {}",
    "captured on {}",
    "taken {}",
)
CREDITS = ("photo by {}", "image by {}", "photo credit: {}", "picture courtesy of {}", "photograph by {}")
NAMES = ("Anna Keller", "J. Ortega", "Mia Novak", "Tom Lindqvist", "S. Park", "Ines Duarte", "Paul Weber", "Lena Hoffmann")
MONTHS = tuple("January February March April May June July August September October November December".split())


def short_caption(rng: np.random.Generator) -> str:
    return SHORT[int(rng.integers(len(SHORT)))]


def boilerplate_caption(rng: np.random.Generator) -> str:
    """A date, a file name or a credit, and nothing about the picture."""
    style = rng.uniform()
    if style < 0.6:
        return DATED[int(rng.integers(len(DATED)))].format(_date(rng))
    if style < 0.8:
        return FILE_NAMES[int(rng.integers(len(FILE_NAMES)))].format(n=int(rng.integers(1, 10_000)))
    return CREDITS[int(rng.integers(len(CREDITS)))].format(NAMES[int(rng.integers(len(NAMES)))])


def break_file(image_bytes: bytes, rng: np.random.Generator) -> bytes:
    """What a failed download leaves: the first part of the file, noise, or a page of text."""
    style = rng.uniform()
    if style < 0.6:
        return image_bytes[: int(len(image_bytes) * rng.uniform(0.2, 0.7))]
    if style < 0.8:
        return rng.bytes(int(rng.integers(200, 2000)))
    return b"<!DOCTYPE html><html><head><title>404 Not Found</title></head><body>Not Found</body></html>\n"


def draw_extreme_size(rng: np.random.Generator) -> tuple[int, int]:
    """(width, height) with an aspect ratio outside [1/2, 2]."""
    long = int(rng.integers(116, 129))
    short = int(long / rng.uniform(2.15, 3.0))
    return (short, long) if rng.uniform() < 0.4 else (long, short)


def _date(rng: np.random.Generator) -> str:
    year, month, day = int(rng.integers(1998, 2021)), int(rng.integers(1, 13)), int(rng.integers(1, 29))
    name = MONTHS[month - 1]
    ending = "th" if 11 <= day <= 13 else {1: "st", 2: "nd", 3: "rd"}.get(day % 10, "th")
    formats = (
        f"{day:02d}/{month:02d}/{year}",
        f"{month}/{day}/{year}",
        f"{year}-{month:02d}-{day:02d}",
        f"{day}.{month}.{year}",
        f"{name} {day}{ending}, {year}",
        f"{name} {day}, {year}",
        f"{day} {name} {year}",
        f"{day} {name[:3]} {year}",
        f"{year}/{month:02d}/{day:02d} at {int(rng.integers(24)):02d}:{int(rng.integers(60)):02d}",
    )
    return formats[int(rng.integers(len(formats)))]
