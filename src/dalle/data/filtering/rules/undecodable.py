"""Rule: the image cannot be opened."""

import os
import re
from contextlib import closing
from dataclasses import dataclass

import pandas as pd

from dalle.data.image_files import MAX_PIXELS, load_image, read_bytes
from dalle.data.image_headers import JPEG, what_is_cut
from dalle.data.manifest import Place, places

ORDER = 60
WORDS = "broken image file"
ADDRESS = re.compile(r" <[\w.]+ object at 0x[0-9a-f]+>")  # in Pillow's words; another one each time

_WHOLE_IMAGE = (0, 0, 0, 0)


@dataclass(frozen=True, kw_only=True)
class Config:
    """`decode`: every image to its last pixel; else the structure of JPEG, PNG and WebP files alone, two hundred times as fast.

    Both find what downloads leave behind: empty files, pages of text, noise, files cut short anywhere. The structure does not
    show pixels that were damaged in place, which JPEG decoders show as smears and rarely refuse, a WebP whose length is right
    and whose contents are not, or a cut right behind two bytes between a progressive JPEG's scans that look like its end.
    """

    decode: bool


def explain(pairs: pd.DataFrame, config: Config) -> list[str]:
    """Images that cannot be decoded, have more than `MAX_PIXELS`, or end too early, also if their header is good."""
    with closing(_OpenFile()) as files:
        known: dict[Place, str] = {}
        details = []
        for place, width, height in zip(places(pairs), pairs.width.tolist(), pairs.height.tolist(), strict=True):
            if place not in known:
                known[place] = _undecodable(place) if config.decode else _broken(place, width, height, files)
            details.append(known[place])
    return details


class _OpenFile:
    """The one file that was read last: rows of a shard follow each other."""

    def __init__(self) -> None:
        self.name, self.descriptor = "", -1

    def read(self, name: str, offset: int, num_bytes: int) -> bytes:
        """As `read_bytes`, but short where the file ends, and empty where there is none."""
        if name != self.name:
            self.close()
            try:
                self.descriptor = os.open(name, os.O_RDONLY)
            except OSError:
                return b""
            self.name = name
        return os.pread(self.descriptor, num_bytes, offset)

    def close(self) -> None:
        if self.descriptor >= 0:
            os.close(self.descriptor)
        self.name, self.descriptor = "", -1


def _broken(place: Place, width: int, height: int, files: _OpenFile) -> str:
    """A manifest's size is of a header that was read up to the pixels, where `FF D9` is nothing but a JPEG's end."""
    file, offset, num_bytes, box = place
    if box == _WHOLE_IMAGE and 0 < width * height <= MAX_PIXELS:
        ends = files.read(file, offset + num_bytes - 2, 2) == b"\xff\xd9"
        if ends and files.read(file, offset, 3) == JPEG:
            return ""
    try:
        missing = what_is_cut(read_bytes(file, offset, num_bytes)) if width * height else None
    except ValueError as error:  # no such file, or a shorter one
        return str(error)
    if missing:
        return f"{missing}; {_where(place)}"
    if missing == "" and box == _WHOLE_IMAGE and width * height <= MAX_PIXELS:
        return ""
    return _undecodable(place)


def _undecodable(place: Place) -> str:
    try:
        load_image(*place)
    except ValueError as error:
        where = _where(place)
        reason = ADDRESS.sub("", str(error)).removeprefix(f"{where}: ")
        return f"{reason}; {where}"
    return ""


def _where(place: Place) -> str:
    return f"{place.file} (bytes {place.offset} to {place.offset + place.num_bytes})"
