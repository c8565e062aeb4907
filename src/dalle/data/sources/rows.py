"""What every source does alike: captions cleaned, images described for the manifest."""

import os
import re
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from dalle.data.image_files import MAX_PIXELS
from dalle.data.image_headers import header_size

# white space, control characters, byte order marks, and what stands for undecodable bytes
_GAPS = re.compile("[\\s\x00-\x1f\x7f\ufeff\ufffd]+")


def clean_caption(text: str) -> str:
    """One line with single spaces, that can be stored as UTF-8; the words stay as they are."""
    # lone surrogates, which JSON can spell, have no UTF-8
    return _GAPS.sub(" ", text.encode("utf-8", "replace").decode()).strip()


def decode_caption(data: bytes) -> str:
    """The caption in a text file's bytes, whose stray bytes are left out."""
    return clean_caption(data.decode("utf-8", "replace"))


def describe_image(data: bytes, file: Path | str, offset: int = 0) -> dict[str, Any]:
    """The manifest's columns about the image with the bytes `data` at `offset` of `file`."""
    width, height = header_size(data)
    return {
        "file": file if isinstance(file, str) else file.as_posix(),
        "offset": offset,
        "num_bytes": len(data),
        "width": width,
        "height": height,
        "crc32": zlib.crc32(data),
    }


def describe_file(path: Path) -> dict[str, Any]:
    """As `describe_image` for a file that is an image; a missing, unreadable or huge one is a `ValueError` naming it."""
    try:
        image = describe_image(path.read_bytes(), path)
    except OSError as error:
        raise ValueError(f"{path}: listed, but cannot be opened: {error.strerror}") from None
    if not image["width"]:
        raise ValueError(f"{path}: not an image that can be read, or one of far too many pixels")
    if image["width"] * image["height"] > MAX_PIXELS:
        size = f"{image['width']} x {image['height']} pixels"
        raise ValueError(f"{path}: {size}, more than the {MAX_PIXELS} that are opened")
    return image


def describe_files(paths: list[Path]) -> list[dict[str, Any] | str]:
    """For every path what `describe_file` says of it, or its complaint; reads in parallel."""
    def describe(path: Path) -> dict[str, Any] | str:
        try:
            return describe_file(path)
        except ValueError as error:
            return str(error)

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        return list(pool.map(describe, paths))


def is_inside(name: str) -> bool:
    """Whether a listed name stays within the folder it is relative to."""
    return not name.startswith("/") and ".." not in name.split("/")


def unlisted_files(folder: Path, listed: set[Path], patterns: tuple[str, ...]) -> list[str]:
    """A problem for every file of `folder` that no list knows; hidden files do not count."""
    found = {path for pattern in patterns for path in folder.glob(pattern) if not path.name.startswith(".")}
    return [f"{path}: lies there, but no list names it" for path in sorted(found - listed)]
