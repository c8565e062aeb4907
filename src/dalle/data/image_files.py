"""One image: from a stretch of bytes in some file to pixels, or to an error that names the file."""

import io
import os
from contextlib import suppress

import numpy as np
from PIL import Image

MAX_PIXELS = 2**26  # 67 million: any camera's picture, but no decompression bomb

Box = tuple[int, int, int, int]  # left, top, right, bottom in pixels
WHOLE: Box = (0, 0, 0, 0)

_ORIENTATION = 0x0112  # EXIF tag; 5 to 8 lie on their side
_TURNED = range(5, 9)
_UPRIGHT = {  # what brings each orientation upright; 1 is upright
    2: Image.Transpose.FLIP_LEFT_RIGHT, 3: Image.Transpose.ROTATE_180, 4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE, 6: Image.Transpose.ROTATE_270, 7: Image.Transpose.TRANSVERSE, 8: Image.Transpose.ROTATE_90,
}  # fmt: skip
_PNG_METADATA = (b"eXIf", b"iTXt", b"tEXt", b"zTXt")  # chunks that may tell the orientation
_PNG_DEPTH = 24  # the byte of a PNG with the bits of a value


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
    """(width, height) as `load_image` would give them, from the header alone; (0, 0) if it cannot be read.

    Only a PNG with metadata behind its pixels is decoded: they may say that it lies on its side.
    """
    try:
        with Image.open(io.BytesIO(data)) as image:
            width, height = image.size
            if image.format == "PNG" and width * height <= MAX_PIXELS and _tells_behind_pixels(data):
                with suppress(Exception):  # pixels that are damaged are found later, with their reason
                    image.load()
            # PIL says the size of a TIFF as it is when upright, unless its orientation is in XMP
            said = getattr(image, "tag_v2", {}).get(_ORIENTATION) in _TURNED
            turned = (orientation(image) in _TURNED) != said
    except Exception:  # damaged headers raise nearly everything: OSError, SyntaxError, struct.error, ...
        return 0, 0
    return (height, width) if turned else (width, height)


def load_image(file: str, offset: int, num_bytes: int, box: Box = WHOLE) -> np.ndarray:
    """The image as uint8 (H, W, 3): RGB, upright as its EXIF or XMP says, transparency on white, the first frame of several.

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
                image.load()
                if image.format == "PNG":
                    _scale_transparency(image, bits=data[_PNG_DEPTH])
                turn = _UPRIGHT.get(orientation(image))
                return _to_rgb(image if turn is None else image.transpose(turn))
    except Exception as error:  # decoders raise nearly everything on damaged files
        raise ValueError(f"{where}: cannot be decoded: {error}") from None
    raise ValueError(f"{where}: {pixels} pixels, more than the {MAX_PIXELS} that are opened")


def orientation(image: Image.Image) -> object:
    """What EXIF or XMP says, usually 1 to 8; 1 where they cannot be read, as other decoders leave the picture as it is."""
    try:
        # that of a PNG would decode the picture first
        return Image.Image.getexif(image).get(_ORIENTATION, 1)
    except Exception:  # a damaged block raises nearly everything
        return 1


def _tells_behind_pixels(png: bytes) -> bool:
    pixels = png.find(b"IDAT")
    return any(png.find(kind, pixels) >= 0 for kind in _PNG_METADATA)


def _scale_transparency(image: Image.Image, bits: int) -> None:
    """Bring the transparent colour of a PNG, which has the file's `bits` a value, to the 8 bits in which PIL holds pixels.

    Of 16 bits in three channels PIL keeps the upper 8, so colours that differ in the lower 8 alone are taken for one.
    """
    colour = image.info.get("transparency")
    if image.mode == "L" and isinstance(colour, int):
        most = 2**bits - 1
        image.info["transparency"] = (colour & most) * (255 // most)
    elif image.mode == "RGB" and isinstance(colour, tuple):
        image.info["transparency"] = tuple(value >> 8 if bits == 16 else value & 255 for value in colour)


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I;16") or image.mode == "I":
        # PIL's own conversion clips 16 bits to 8 where it should divide
        values = np.asarray(image).astype(np.int64)
        grey = (values >> 8).clip(0, 255).astype(np.uint8)
        grey[values == image.info.get("transparency", -1)] = 255
        return Image.fromarray(grey).convert("RGB")
    if image.mode in ("LA", "PA", "La", "RGBA", "RGBa") or "transparency" in image.info:
        image = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", image.size, "white"), image).convert("RGB")
    return image.convert("RGB")
