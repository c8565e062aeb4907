"""JPEG and PNG files put together from parts that real writers put in odd places: strategies for Hypothesis."""

import io
import struct
import zlib

import numpy as np
from hypothesis import strategies as st
from PIL import Image
from small_pairs import encoded, picture

WIDTH, HEIGHT = 24, 16
PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_SMALL = picture(0, WIDTH, HEIGHT)
_JPEGS = [
    encoded(_SMALL),
    encoded(_SMALL, progressive=True),
    encoded(_SMALL.convert("L")),
    encoded(_SMALL.convert("CMYK")),
    encoded(_SMALL, restart_marker_blocks=2),
]


def exif(orientation: int, order: str = "<", distance: int = 8, kind: int = 3, others: int = 0) -> bytes:
    """A TIFF block whose directory begins at byte `distance` and names `others` tags before the orientation (kind 3 or 4)."""
    value = struct.pack(order + ("H2x" if kind == 3 else "L"), orientation)
    tags = [struct.pack(order + "HHLHH", 0x0100 + index, 3, 1, 7, 0) for index in range(others)]
    tags.append(struct.pack(order + "HHL", 0x0112, kind, 1) + value)
    header = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(order + "L", distance)
    directory = struct.pack(order + "H", len(tags)) + b"".join(tags) + bytes(4)
    return header.ljust(distance, b"\0") + directory


def xmp(orientation: int, element: bool = False) -> bytes:
    said = f"<tiff:Orientation>{orientation}</tiff:Orientation>" if element else f'<r tiff:Orientation="{orientation}"/>'
    return f"<x:xmpmeta>{said}</x:xmpmeta>".encode()


def segment(kind: int, content: bytes) -> bytes:
    return bytes([0xFF, kind]) + struct.pack(">H", len(content) + 2) + content


def chunk(kind: bytes, content: bytes, checksum: int | None = None) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", checksum or zlib.crc32(kind + content))


def png(samples: np.ndarray, depth: int, colour: int, before: bytes = b"", after: bytes = b"", parts: int = 1) -> bytes:
    """A PNG with `samples` (H, W) or (H, W, channels) of `depth` bits, its pixels in `parts` chunks, others around them."""
    height, width = samples.shape[:2]
    values = samples.reshape(height, -1)
    if depth == 16:
        rows = values.astype(">u2").view(np.uint8).reshape(height, -1)
    else:
        bits = (values[..., None] >> np.arange(depth)[::-1]) & 1
        rows = np.packbits(bits.reshape(height, -1).astype(np.uint8), axis=1)
    pixels = zlib.compress(b"".join(b"\0" + row.tobytes() for row in rows))
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0))
    bounds = [len(pixels) * part // parts for part in range(parts + 1)]
    data = b"".join(chunk(b"IDAT", pixels[start:end]) for start, end in zip(bounds, bounds[1:], strict=False))
    return PNG_SIGNATURE + header + before + data + after + chunk(b"IEND", b"")


orientations = st.integers(0, 9)
blocks = st.builds(
    exif, orientations, st.sampled_from("<>"), st.integers(8, 60), st.sampled_from([3, 4]), others=st.integers(0, 3)
)
damaged_blocks = st.builds(lambda block, end: block[:end], blocks, st.integers(0, 40)) | st.binary(max_size=30)
packets = st.builds(xmp, orientations, st.booleans())

segments = st.one_of(
    st.builds(lambda block: segment(0xE1, b"Exif\0\0" + block), blocks | damaged_blocks),
    st.builds(lambda packet: segment(0xE1, b"http://ns.adobe.com/xap/1.0/\0" + packet), packets),
    st.builds(segment, st.sampled_from([0xE2, 0xE4, 0xED, 0xEF, 0xFE]), st.binary(max_size=40)),
    st.builds(lambda number: b"\xff" * number, st.integers(1, 5)),  # fill bytes
    st.builds(lambda number: b"\xff\x00" * number, st.integers(1, 3)),  # stray bytes, which decoders pass over
    st.binary(min_size=1, max_size=6).map(lambda stray: stray.replace(b"\xff", b"\0")),
)


def _parts(data: bytes) -> list[bytes]:
    """A JPEG of PIL cut before each segment of its header; the last part begins with the first scan."""
    cuts, position = [0, 2], 2
    while data[position + 1] != 0xDA:
        position += 2 + int.from_bytes(data[position + 2 : position + 4], "big")
        cuts.append(position)
    return [data[start:end] for start, end in zip(cuts, [*cuts[1:], len(data)], strict=True)]


@st.composite
def jpegs(draw) -> bytes:
    parts = _parts(draw(st.sampled_from(_JPEGS)))
    for _ in range(draw(st.integers(0, 4))):
        parts.insert(draw(st.integers(1, len(parts) - 1)), draw(segments))
    data = b"".join(parts)
    if draw(st.booleans()):  # fill bytes before the mark of the end
        data = data[:-2] + b"\xff" * draw(st.integers(1, 4)) + data[-2:]
    return data + draw(st.sampled_from([b"", b"\0" * 9, b"\xff\xd8\xff\xe1", b"rest"]))


chunks = st.one_of(
    st.builds(lambda block: chunk(b"eXIf", block), blocks | damaged_blocks),
    st.builds(lambda packet: chunk(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + packet), packets),
    st.builds(
        lambda block: chunk(b"zTXt", b"Raw profile type exif\0\0" + zlib.compress(_profile(block))), blocks | damaged_blocks
    ),
    st.builds(lambda text: chunk(b"tEXt", b"Comment\0" + text), st.binary(max_size=20)),
    st.builds(chunk, st.sampled_from([b"gAMA", b"pHYs", b"vpAg", b"tIME"]), st.binary(min_size=9, max_size=9)),
    st.builds(lambda checksum: chunk(b"vpAg", b"whatever", checksum), st.integers(1, 9)),  # a wrong checksum
)
# depth, colour type, channels
KINDS = [
    *((depth, 0, 1) for depth in (1, 2, 4, 8, 16)),
    *((depth, colour, channels) for colour, channels in ((2, 3), (4, 2), (6, 4)) for depth in (8, 16)),
]


def _profile(block: bytes) -> bytes:
    content = b"Exif\0\0" + block
    return f"\nexif\n{len(content):8}\n{content.hex()}\n".encode()


@st.composite
def pngs(draw) -> bytes:
    depth, colour, channels = draw(st.sampled_from(KINDS))
    samples = np.random.default_rng(0).integers(0, 2**depth, (HEIGHT, WIDTH, channels))
    before = b"".join(draw(st.lists(chunks, max_size=2)))
    if colour in (0, 2) and draw(st.booleans()):
        before += chunk(b"tRNS", b"".join(struct.pack(">H", value) for value in samples[0, 0]))
    after = b"".join(draw(st.lists(chunks, max_size=2)))
    return png(samples, depth, colour, before, after, draw(st.integers(1, 3)))


def opened(data: bytes) -> Image.Image | None:
    """As PIL decodes it; None for what it refuses."""
    try:
        image = Image.open(io.BytesIO(data))
        image.load()
    except Exception:
        return None
    return image
