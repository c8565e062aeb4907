"""What every source does alike: captions cleaned, images described for the manifest."""

import os
import re
import unicodedata
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from dalle.data.image_files import MAX_PIXELS
from dalle.data.image_headers import header_size
from dalle.data.sources.walking import Tree
from dalle.data.text_files import require_text

# white space, control characters, byte order marks, and what another program put in the place of bytes that it could not read
_GAPS = re.compile("[\\s\x00-\x1f\x7f\ufeff\ufffd]+")
# that no screen shows, though Unicode calls them letters, marks or symbols, or keeps them for later: fillers, the empty
# Braille cell, joiners, variants
_BLANKS = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2065\u2800\u3164\ufe00-\ufe0f\uffa0\ufff0-\ufff8\U000e0000-\U000e0fff]"
)


def clean_caption(text: str) -> str:
    """One line with single spaces; the words stay as they are. Empty if nothing of it can be seen, as zero-width characters.

    Half a character, which JSON can spell and UTF-8 cannot, is a `ValueError`.
    """
    caption = _GAPS.sub(" ", require_text(text)).strip()
    return caption if caption.isascii() or _is_visible(caption) else ""


def _is_visible(text: str) -> bool:
    # separators, control and formatting characters
    return any(unicodedata.category(char) not in ("Zs", "Zl", "Zp", "Cc", "Cf") for char in _BLANKS.sub("", text))


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
        is_special = path.exists() and not path.is_file() and not path.is_dir()
        data = b"" if is_special else path.read_bytes()  # a pipe would be waited for
    except OSError as error:
        raise ValueError(f"{path}: listed, but cannot be opened: {error.strerror}") from None
    except ValueError as error:  # a zero byte
        raise ValueError(f"{path}: listed, but no file can be called so: {error}") from None
    image = describe_image(data, path)
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


PICTURES = (".jpg", ".jpeg", ".png", ".webp")  # what is looked for; a list may name any image
OTHER_PICTURES = (".avif", ".bmp", ".gif", ".heic", ".heif", ".jfif", ".jpe", ".jxl", ".tif", ".tiff")
ANY_PICTURE = (*PICTURES, *OTHER_PICTURES)


def is_picture(path: Path) -> bool:
    """Whether a file is called like a picture, in small letters or capitals."""
    return path.suffix.lower() in PICTURES


def unlisted_files(tree: Tree, listed: set[Path], extensions: tuple[str, ...]) -> list[str]:
    """A problem for every file of the tree with one of the `extensions` that no list knows, and every entry that was left."""
    unlisted = [path for path in tree.files if path not in listed and path.suffix.lower() in extensions]
    return [f"{path}: lies there, but no list names it" for path in sorted(unlisted)] + tree.problems()
