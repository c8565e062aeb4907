"""Pictures as they come: odd ones that must be read, and broken ones that must be named."""

import io
import struct
import zlib

from PIL import Image
from small_pairs import encoded, picture


def _turned() -> bytes:
    """Stored 48 x 40 on its side, as telephones do; upright it is 40 x 48."""
    exif = Image.Exif()
    exif[0x0112] = 6
    return encoded(picture(3), exif=exif)


def bomb(side: int = 60_000) -> bytes:
    """A PNG of less than 100 bytes whose header promises `side` x `side` pixels."""
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")


# by what they are: (bytes, size as shown)
ODD = {
    "greyscale": (encoded(picture(1).convert("L")), (48, 40)),
    "CMYK": (encoded(picture(2).convert("CMYK")), (48, 40)),
    "turned by EXIF": (_turned(), (40, 48)),
    "PNG under a JPEG's name": (encoded(picture(4), "PNG"), (48, 40)),
}
# by what they are: (bytes, part of the complaint)
UNREADABLE = {
    "empty": (b"", "not an image"),
    "a web page": (b"<html></html>", "not an image"),
    "a bomb": (bomb(), "pixels"),
    "a smaller bomb": (bomb(9_000), "9000 x 9000 pixels, more than"),
}
CUT_SHORT = {
    "JPEG": encoded(picture(5, 200, 150), quality=95)[:-2000],
    "PNG": encoded(picture(5, 200, 150), "PNG")[:-2000],
}
assert all(Image.open(io.BytesIO(data)).size == (200, 150) for data in CUT_SHORT.values()), "their headers are whole"
