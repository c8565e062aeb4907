"""Sizes of images without PIL where that is simple, and whether a file is whole, without decoding a pixel."""

import re
import zlib
from collections.abc import Iterator
from typing import NamedTuple

from dalle.data import image_files

PNG = b"\x89PNG\r\n\x1a\n"
JPEG = b"\xff\xd8\xff"

_START_OF_SCAN, _END_OF_IMAGE = 0xDA, 0xD9
_FRAMES = (0xC0, 0xC1, 0xC2)  # baseline, extended, progressive: the kinds that are met
_PLAIN = (0xC4, 0xDD, 0xFE)  # Huffman tables, restart interval, comment: nothing that has a say in the size
_QUANTIZATION = 0xDB
_TABLE = 65  # bytes of a quantization table of 8 bits
_BETWEEN_SCANS = {0xC4, _START_OF_SCAN, _QUANTIZATION, 0xDC, 0xDD, *range(0xE0, 0xF0), 0xFE}
# what is a marker among compressed bytes: not a stuffed FF 00, a restart mark or a fill byte
_MARKER = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")
_PNG_KINDS = (0, 2, 4, 6)  # grey and colour, each also with alpha; palettes are left to PIL


def header_size(data: bytes) -> tuple[int, int]:
    """What `image_files.header_size` says, ten times as fast on JPEG and PNG files without metadata."""
    size = _jpeg_size(data) or _png_size(data)
    return size or image_files.header_size(data)


def _jpeg_size(data: bytes) -> tuple[int, int] | None:
    """None for whatever is not a plain JFIF file with a header as PIL accepts it, all the way to its pixels."""
    size = None
    for segment in _segments(data):
        kind, start, end = segment
        length = end - start
        if kind == _START_OF_SCAN:
            return size if end <= len(data) else None
        if end > len(data):
            return None
        if kind == 0xE0:
            if length < 14 or data[start : start + 5] != b"JFIF\0":
                return None
        elif kind == _QUANTIZATION:
            if length % _TABLE or any(data[table] > 15 for table in range(start, end, _TABLE)):
                return None
        elif kind in _FRAMES:
            if size is not None or length < 9 or data[start] != 8 or data[start + 5] not in (1, 3, 4):
                return None
            if length != 6 + 3 * data[start + 5]:
                return None
            height, width = (int.from_bytes(data[at : at + 2], "big") for at in (start + 1, start + 3))
            if not 0 < width * height <= image_files.MAX_PIXELS:
                return None
            size = width, height
        elif kind not in _PLAIN:
            return None
    return None


def _png_size(data: bytes) -> tuple[int, int] | None:
    """None but for a PNG with 8 bits a value, no palette, and nothing but its pixels behind its header."""
    if data[:8] != PNG or data[8:16] != b"\0\0\0\rIHDR" or data[37:41] != b"IDAT":
        return None
    depth, colour, compression, filtering, interlaced = data[24:29]
    width, height = int.from_bytes(data[16:20], "big"), int.from_bytes(data[20:24], "big")
    usual = depth == 8 and colour in _PNG_KINDS and not compression and not filtering and interlaced < 2
    if not usual or not 0 < width * height <= image_files.MAX_PIXELS or not _only_pixels(data):
        return None
    return (width, height) if zlib.crc32(data[12:29]) == int.from_bytes(data[29:33], "big") else None


def _only_pixels(data: bytes) -> bool:
    """Whether nothing but pixels stands behind a PNG's header: what comes after them may say that it lies on its side."""
    position = 33
    while position + 8 <= len(data) and data[position + 4 : position + 8] == b"IDAT":
        position += 12 + int.from_bytes(data[position : position + 4], "big")
    return position + 8 > len(data) or data[position + 4 : position + 8] == b"IEND"


class Segment(NamedTuple):
    """data[start:end] is what a JPEG marker of this kind brings along."""

    kind: int
    start: int
    end: int


def _segments(data: bytes) -> Iterator[Segment]:
    """Up to the first scan's pixels, or to where the header is damaged; `end` may lie behind the data's."""
    position = 2
    if data[:3] != JPEG:
        return
    while position + 4 <= len(data) and data[position] == 0xFF:
        kind = data[position + 1]
        if kind == 0xFF:  # a fill byte, of which there may be any number before a marker
            position += 1
            continue
        length = int.from_bytes(data[position + 2 : position + 4], "big")
        if kind < 0xC0 or 0xD0 <= kind <= _END_OF_IMAGE or length < 2:
            return
        yield Segment(kind, position + 4, position + 2 + length)
        if kind == _START_OF_SCAN:
            return
        position += 2 + length


def what_is_cut(data: bytes) -> str | None:
    """What a JPEG, PNG or WebP lacks to be whole, '' if nothing; None for other files, of which only a decoder knows.

    Behind the end anything may follow, as for decoders. A JPEG is whole if its scans reach the mark of the end, a PNG if its
    chunks do, each with the checksum it states, a WebP if it is as long as it says. What decoders forgive (stray bytes between
    the marks of a JPEG, a wrong checksum of what is no pixel) is None too.
    """
    if data[:3] == JPEG:
        return _cut_jpeg(data)
    if data[:8] == PNG:
        return _cut_png(data)
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        stated = 8 + int.from_bytes(data[4:8], "little")
        return "" if stated <= len(data) else f"{len(data)} of the {stated} bytes that its header states"
    return None


def _cut_jpeg(data: bytes) -> str | None:
    position = 2
    for segment in _segments(data):
        position = segment.end
        if segment.kind == _START_OF_SCAN:
            break
    else:
        return "its header ends before any pixel" if position + 4 > len(data) else None
    while found := _MARKER.search(data, position):
        kind, position = data[found.start() + 1], found.end()
        if kind == _END_OF_IMAGE:
            return ""
        if kind not in _BETWEEN_SCANS:
            return None
        # tables between two scans, or the next scan: their contents may look like marks
        position += max(2, int.from_bytes(data[position : position + 2], "big"))
    return "it stops before the mark of its end"


def _cut_png(data: bytes) -> str | None:
    position = len(PNG)
    while position + 12 <= len(data):
        length = int.from_bytes(data[position : position + 4], "big")
        end = position + 12 + length
        if end > len(data):
            break
        kind = data[position + 4 : position + 8]
        if zlib.crc32(memoryview(data)[position + 4 : end - 4]) != int.from_bytes(data[end - 4 : end], "big"):
            if kind[:1].islower():  # not needed for the picture
                return None
            return f"the checksum of its chunk {kind.decode('latin-1')!r} is wrong"
        if kind == b"IEND":
            return ""
        position = end
    return "it stops before its chunk 'IEND'"
