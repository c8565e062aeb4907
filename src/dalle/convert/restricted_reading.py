"""Modules from a file of `torch.save(module)`, with nothing imported and nothing run: shells that hold the pickled state.

Such a file is a pickle, and an unrestricted unpickler runs whatever a pickle names. Here three things stand in a row:

1. The zip archive is copied record by record into memory; only uncompressed records that together are no larger than the
   file are copied, so that nothing unfolds, and what is read later is byte for byte what was checked.
2. The opcodes of the pickle are listed, which runs none of them, and refused by name unless `torch.save` writes them for
   modules of `MODULE_CLASSES`. Opcodes that import or call in other ways (INST, OBJ, EXT1, STACK_GLOBAL, ...) are not listed.
3. torch's own restricted unpickler (`weights_only=True`) reads the copy. It looks names up in a table instead of importing
   them, and the table has a `Shell` for every module class: what BUILD then calls is `Shell.__setstate__` below.

What remains callable is `ALLOWED`: it makes tensors within storages whose sizes torch checks against the records.
"""

import io
import pickle
import pickletools
import re
import shutil
import zipfile
from pathlib import Path
from typing import Any, BinaryIO

import torch

MODULE_CLASSES = (
    "dall_e.encoder.Encoder",
    "dall_e.encoder.EncoderBlock",
    "dall_e.decoder.Decoder",
    "dall_e.decoder.DecoderBlock",
    "dall_e.utils.Conv2d",
    "torch.nn.modules.activation.ReLU",
    "torch.nn.modules.container.Sequential",
    "torch.nn.modules.linear.Identity",
    "torch.nn.modules.pooling.MaxPool2d",
    "torch.nn.modules.upsampling.Upsample",
)
ALLOWED = {
    *MODULE_CLASSES,
    "__builtin__.set",  # as protocol 2 writes it
    "builtins.set",
    "collections.OrderedDict",
    "torch.FloatStorage",
    "torch.HalfStorage",
    "torch._utils._rebuild_parameter",
    "torch._utils._rebuild_tensor_v2",
    "torch.device",
}
OPCODES = set(
    """PROTO STOP GLOBAL REDUCE NEWOBJ BUILD BINPERSID MARK NONE NEWTRUE NEWFALSE BININT BININT1 BININT2 LONG1 BINFLOAT
    BINUNICODE EMPTY_TUPLE TUPLE TUPLE1 TUPLE2 TUPLE3 EMPTY_LIST APPEND APPENDS EMPTY_DICT SETITEM SETITEMS EMPTY_SET
    BINPUT LONG_BINPUT BINGET LONG_BINGET""".split()
)
PICKLE = "data.pkl"
RECORDS = re.compile(r"data\.pkl|version|byteorder|data/\d+")  # the others say nothing about the module
MAX_PICKLE_BYTES = 2**20  # that of the released architecture has 30 kB


class Shell:
    """Stands for an object of a class that is never imported: it has the object's attributes and does nothing."""

    class_name: str

    def __setstate__(self, state: Any) -> None:
        if type(state) is not dict or not all(type(key) is str and not key.startswith("__") for key in state):
            raise pickle.UnpicklingError(f"the state of {class_of(self)} is no plain dictionary of attributes")
        vars(self).update(state)


SHELLS = {name: type(name.rpartition(".")[2], (Shell,), {"class_name": name}) for name in MODULE_CLASSES}


def class_of(value: Any) -> str:
    """The name of the class that `value` stands for, or of its own."""
    return type(value).class_name if isinstance(value, Shell) else type(value).__name__


def read_module(path: Path) -> Any:
    """What was saved in `path`, tensors on the CPU; a `ValueError` says what was refused.

    What comes back is usually a `Shell`, but can be any plain value: the caller checks it.
    """
    with path.open("rb") as file:
        archive, pickled = _checked_copy(path, file)
    _check_pickle(path, pickled)
    try:
        with torch.serialization.safe_globals([(shell, name) for name, shell in SHELLS.items()]):
            return torch.load(archive, map_location="cpu", weights_only=True)
    except Exception as error:  # a spoilt pickle can make an unpickler raise anything
        raise ValueError(f"{path}: refused by torch's restricted reader: {_reason(error)}") from None


def _checked_copy(path: Path, file: BinaryIO) -> tuple[io.BytesIO, bytes]:
    """The records of the archive that make up the module, in an archive of their own, and the pickle among them."""
    if file.read(4) != b"PK\x03\x04":
        raise ValueError(
            f"{path}: not the zip archive that torch.save writes since 1.6; where an older torch wrote it, load it with that "
            "torch, in a place where the file may run what it likes, and torch.save it again with a newer one"
        )
    try:
        with zipfile.ZipFile(file) as archive:
            return _copy_records(archive, file.seek(0, io.SEEK_END))
    except (zipfile.BadZipFile, EOFError, OSError, NotImplementedError, RuntimeError, UnicodeDecodeError) as error:
        raise ValueError(f"{path}: not a whole zip archive: {str(error) or type(error).__name__}") from None
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None


def _copy_records(archive: zipfile.ZipFile, num_bytes: int) -> tuple[io.BytesIO, bytes]:
    records = {}
    for record in archive.infolist():
        name = record.filename.partition("/")[2]
        if not RECORDS.fullmatch(name):
            continue
        if name in records:
            raise ValueError(f"holds the record {name} twice")
        if record.compress_type != zipfile.ZIP_STORED:
            raise ValueError(f"the record {name} is compressed, which torch.save never does")
        records[name] = record
    if PICKLE not in records:
        raise ValueError(f"holds no {PICKLE}: torch.save did not write it")
    if sum(record.file_size for record in records.values()) > num_bytes:
        raise ValueError("its records are said to be larger than the file")
    if records[PICKLE].file_size > MAX_PICKLE_BYTES:
        raise ValueError(f"{PICKLE} is larger than {MAX_PICKLE_BYTES} bytes, far beyond that of any released network")
    copy = io.BytesIO()
    with zipfile.ZipFile(copy, "w") as target:
        for name, record in records.items():
            with archive.open(record) as source, target.open(f"archive/{name}", "w", force_zip64=True) as sink:
                shutil.copyfileobj(source, sink)
    with zipfile.ZipFile(copy) as written:
        pickled = written.read(f"archive/{PICKLE}")
    copy.seek(0)
    return copy, pickled


def _check_pickle(path: Path, pickled: bytes) -> None:
    try:
        for opcode, argument, _ in pickletools.genops(pickled):
            if opcode.name not in OPCODES:
                raise ValueError(f"refused the pickle opcode {opcode.name}")
            if opcode.name == "GLOBAL" and (name := argument.replace(" ", ".")) not in ALLOWED:
                raise ValueError(f"refused {name[:200]!r}: a released network has no need of it")
    except ValueError as error:
        raise ValueError(f"{path}: {PICKLE}: {error}") from None


def _reason(error: Exception) -> str:
    """torch's own words, without its advice to load the file unrestricted."""
    return str(error).rpartition("WeightsUnpickler error: ")[2].strip().partition("\n")[0][:300] or type(error).__name__
