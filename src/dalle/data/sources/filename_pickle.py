"""AttnGAN's filenames.pickle, a list of names, read without running anything that a pickle may ask for."""

import io
import pickle
import pickletools
from pathlib import Path

MAX_BYTES = 2**24  # the original has 400 kB
# all that Python 2 and 3 write for a list of strings: none of these imports, calls or allocates ahead
OPCODES = set(
    """PROTO FRAME STOP MARK EMPTY_LIST LIST APPEND APPENDS STRING BINSTRING SHORT_BINSTRING UNICODE BINUNICODE
    SHORT_BINUNICODE PUT BINPUT LONG_BINPUT MEMOIZE GET BINGET LONG_BINGET""".split()
)
MEMO = ("PUT", "BINPUT", "LONG_BINPUT")


class _Names(pickle.Unpickler):
    """Opcodes are checked before; should one slip through, nothing can be imported here either."""

    def find_class(self, module: str, name: str) -> type:
        raise pickle.UnpicklingError(f"it names {module}.{name}")


def read_filename_pickle(path: Path) -> list[str]:
    """The list of strings in `path`; a pickle of anything else is a `ValueError` naming it, and nothing of it is run."""
    if not path.is_file():
        raise ValueError(f"{path}: no such file")
    if path.stat().st_size > MAX_BYTES:
        raise ValueError(f"{path}: larger than {MAX_BYTES} bytes, so not AttnGAN's list of file names")
    data = path.read_bytes()
    try:
        _check(data)
        # Python 2's strings are bytes; names of files are ASCII, and latin1 fails on none
        names = _Names(io.BytesIO(data), encoding="latin1").load()
    except Exception as error:  # a damaged pickle raises nearly everything
        raise ValueError(f"{path}: not a pickled list of file names, and not opened otherwise: {error}") from None
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise ValueError(f"{path}: not a list of file names")
    return names


def _check(data: bytes) -> None:
    for opcode, argument, _ in pickletools.genops(data):
        if opcode.name not in OPCODES:
            raise ValueError(f"it asks for {opcode.name} {argument or ''}".rstrip())
        if opcode.name in MEMO and argument > len(data):
            raise ValueError("its memo has more places than the file has bytes")
