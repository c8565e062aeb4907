"""One image: from a stretch of bytes in some file to pixels, or to an error that names the file."""

import io
import os

import numpy as np
from PIL import Image, ImageOps

MAX_PIXELS = 2**26  # 67 million: any camera's picture, but no decompression bomb

Box = tuple[int, int, int, int]  # left, top, right, bottom in pixels
WHOLE: Box = (0, 0, 0, 0)

_ORIENTATION = 0x0112  # EXIF tag; 5 to 8 lie on their side
_TURNED = range(5, 9)


def read_bytes(file: str, offset: int, num_bytes: int) -> bytes:
    """file[offset:offset + num_bytes]; less than that is a `ValueError`."""
    try:
        descriptor = os.open(file, os.O_RDONLY)
    except OSError as error:
        raise ValueError(f"{file}: cannot be opened: {error.strerror}") from None
    try:
        data = os.pread(descriptor, num_bytes, offset)
    finally:
        os.close(descriptor)
    if len(data) != num_bytes:
        raise ValueError(f"{file}: ends before byte {offset + num_bytes}; the file changed after its manifest was written")
    return data


def header_size(data: bytes) -> tuple[int, int]:
    """(width, height) as `load_image` would give them, from the header alone; (0, 0) if it cannot be read."""
    try:
        with Image.open(io.BytesIO(data)) as image:
            width, height = image.size
            # asking a PNG without EXIF for it would decode the whole picture
            turned = "exif" in image.info and image.getexif().get(_ORIENTATION) in _TURNED
    except Exception:  # damaged headers raise nearly everything: OSError, SyntaxError, struct.error, ...
        return 0, 0
    return (height, width) if turned else (width, height)


def load_image(file: str, offset: int, num_bytes: int, box: Box = WHOLE) -> np.ndarray:
    """The image as uint8 (H, W, 3): RGB, upright as its EXIF says, transparency on white, the first frame of several.

    `box` (left, top, right, bottom) is the part of the upright image that is wanted. Whatever cannot be decoded, also a file
    cut short, has more than `MAX_PIXELS`, or ends inside the box is a `ValueError` naming the file. Safe to call from many
    threads.
    """
    image = np.asarray(open_rgb(file, offset, num_bytes))
    if box == WHOLE:
        return image
    left, top, right, bottom = box
    if not (0 <= left < right <= image.shape[1] and 0 <= top < bottom <= image.shape[0]):
        size = f"{image.shape[1]} x {image.shape[0]}"
        raise ValueError(f"{file}: its box {tuple(box)} is not within the {size} pixels of the image")
    return image[top:bottom, left:right]


def open_rgb(file: str, offset: int, num_bytes: int, draft: tuple[int, int] | None = None) -> Image.Image:
    """As `load_image` of a whole image, as PIL's; `draft`: JPEG may decode at a fraction, of at least (width, height)."""
    data = read_bytes(file, offset, num_bytes)
    where = f"{file} (bytes {offset} to {offset + num_bytes})"
    if not data:
        raise ValueError(f"{where}: the image is empty")
    try:
        with Image.open(io.BytesIO(data)) as image:
            pixels = image.width * image.height
            if pixels <= MAX_PIXELS:
                if draft is not None:
                    image.draft("RGB", draft)
                return _to_rgb(ImageOps.exif_transpose(image))
    except Exception as error:  # decoders raise nearly everything on damaged files
        raise ValueError(f"{where}: cannot be decoded: {error}") from None
    raise ValueError(f"{where}: {pixels} pixels, more than the {MAX_PIXELS} that are opened")


def _to_rgb(image: Image.Image) -> Image.Image:
    image.load()
    if image.mode.startswith("I;16") or image.mode == "I":
        # PIL's own conversion clips 16 bits to 8 where it should divide
        return Image.fromarray((np.asarray(image).astype(np.int64) >> 8).clip(0, 255).astype(np.uint8)).convert("RGB")
    if image.mode in ("LA", "PA", "La", "RGBA", "RGBa") or "transparency" in image.info:
        image = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", image.size, "white"), image).convert("RGB")
    return image.convert("RGB")
