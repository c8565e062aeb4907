"""Image files that can be evaluated: all readable, of one size, in plain RGB; anything else is an error that names them."""

import math
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from PIL import Image

from dalle.data.image_files import orientation
from dalle.data.images import evaluation_crop

NUM_NAMED = 5  # problems in one message
PNG_BIT_DEPTH = 24  # the byte of a PNG that says how many bits a channel has
KEPT_BYTES = 2**30  # of pixels: 5,000 pictures of 256 x 256


class ImageFiles:
    """Image files of one size as an array (N, H, W, 3) uint8; with `size`, reduced to it as the reference is.

    Smaller ones are refused: what an enlargement adds is nobody's model. `file_size` is the side they have on disk. Up to
    `KEPT_BYTES` of pixels are held in memory, so that a sweep over radii decodes them once; more are read where they are
    indexed.
    """

    def __init__(self, files: Sequence[Path], size: int | None = None) -> None:
        self.files = list(files)
        self.file_size = check_pictures(self.files)[0]
        self._size = size or self.file_size
        if self.file_size < self._size:
            raise ValueError(f"{self.files[0]}: is {self.file_size} pixels wide, and would be enlarged to {size}")
        self.shape = (len(self.files), self._size, self._size, 3)
        self._kept = self._read(self.files) if math.prod(self.shape) <= KEPT_BYTES else None

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, rows: np.ndarray | slice) -> np.ndarray:
        if self._kept is not None:
            return self._kept[rows]
        return self._read(self.files[rows] if isinstance(rows, slice) else [self.files[row] for row in rows])

    def _read(self, files: Sequence[Path]) -> np.ndarray:
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            return np.stack(list(pool.map(self._read_one, files)))

    def _read_one(self, file: Path) -> np.ndarray:
        picture = read_picture(file)
        return picture if self._size == self.file_size else evaluation_crop(picture, self._size)


def check_pictures(files: Sequence[Path]) -> tuple[int, int]:
    """(width, height) of all `files`; a ValueError names those that are unreadable, not 8-bit RGB, or of another size.

    Every file is decoded to its end, so that nothing fails after hours.
    """
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        found = list(pool.map(_size_or_problem, files))
    problems = [problem for problem in found if isinstance(problem, str)]
    if problems:
        more = [f"and {len(problems) - NUM_NAMED} more"] if len(problems) > NUM_NAMED else []
        raise ValueError("; ".join([*problems[:NUM_NAMED], *more]))
    first = files[0]
    for file, size in zip(files, found, strict=True):
        if size != found[0]:
            differing = f"{first} is {_words(found[0])}, {file} is {_words(size)}"
            raise ValueError(f"images are of several sizes: {differing}; bring all to one size, once")
    if found[0][0] != found[0][1]:
        raise ValueError(f"{first} is {_words(found[0])}: samples are squares, as the reference is cropped to one")
    return found[0]


def read_picture(path: Path) -> np.ndarray:
    """uint8 (H, W, 3); a file that cannot be read is a ValueError that names it."""
    try:
        with Image.open(path) as image:
            return np.asarray(image.convert("RGB"))
    except OSError as error:
        raise ValueError(f"{path}: cannot be read as an image: {error}") from None


def _size_or_problem(file: Path) -> tuple[int, int] | str:
    """(width, height), or what keeps the file from being evaluated."""
    try:
        with Image.open(file) as image:
            image.load()
            mode, size, is_png = image.mode, image.size, image.format == "PNG"
            turned, clear = orientation(image) in range(2, 9), "transparency" in image.info
        bits = _bits_of_png(file) if is_png else 8
    except Exception as error:  # decoders raise nearly everything on damaged files
        return f"{file}: cannot be read as an image: {error}"
    if mode != "RGB" or bits != 8:
        return f"{file}: is {mode} with {bits} bits a channel, samples are RGB with 8: convert it, and say how"
    if turned or clear:
        what = "is turned by its EXIF or XMP" if turned else "has a transparent colour"
        return f"{file}: {what}, samples are as they are stored: convert it, and say how"
    return size


def _bits_of_png(file: Path) -> int:
    with file.open("rb") as opened:  # Pillow reads RGB of 16 bits as if it were of 8
        return opened.read(PNG_BIT_DEPTH + 1)[PNG_BIT_DEPTH]


def _words(size: tuple[int, int]) -> str:
    return f"{size[0]} x {size[1]} pixels"
