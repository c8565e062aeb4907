"""A list of names is all that is ever read from a pickle; whatever else it asks for is refused without being done."""

import os
import pickle
import struct

import pytest

from dalle.data.sources.filename_pickle import read_filename_pickle

NAMES = ["001.Black_footed_Albatross/Black_Footed_Albatross_0046_18", "002.Laysan_Albatross/Laysan_Albatross_0002_1027"]
# what Python 2's pickle.dumps(["a/b", "c/d"], 0), (..., 1) and (..., 2) write
PYTHON_2 = (
    b"(lp0\nS'a/b'\np1\naS'c/d'\np2\na.",
    b"]q\x00(U\x03a/bq\x01U\x03c/dq\x02e.",
    b"\x80\x02]q\x00(U\x03a/bq\x01U\x03c/dq\x02e.",
)


def written(folder, data: bytes):
    path = folder / "filenames.pickle"
    path.write_bytes(data)
    return path


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_lists_of_python_3(tmp_path, protocol):
    assert read_filename_pickle(written(tmp_path, pickle.dumps(NAMES * 500, protocol))) == NAMES * 500


@pytest.mark.parametrize("data", PYTHON_2)
def test_lists_of_python_2(tmp_path, data):
    assert read_filename_pickle(written(tmp_path, data)) == ["a/b", "c/d"]


class Runs:
    """Unpickled, it runs a command: the attack that pickles are known for."""

    def __init__(self, command: str) -> None:
        self.command = command

    def __reduce__(self):
        return os.system, (self.command,)


def hostile(command: str) -> dict[str, bytes]:
    """The same attack through every opcode that imports."""
    inst = f"(S'{command}'\nios\nsystem\n.".encode()
    text = command.encode()
    obj = b"(cos\nsystem\nS'" + text + b"'\no."
    stack = b"\x80\x04\x8c\x02os\x8c\x06system\x93\x8c" + bytes([len(text)]) + text + b"\x85R."
    protocols = {f"protocol {number}": pickle.dumps([Runs(command)], number) for number in range(pickle.HIGHEST_PROTOCOL + 1)}
    return {**protocols, "INST": inst, "OBJ": obj, "STACK_GLOBAL": stack}


@pytest.mark.parametrize("kind", hostile(""))
def test_a_command_is_refused_and_not_run(tmp_path, kind):
    mark = tmp_path / "it_ran"
    data = hostile(f"touch {mark}")[kind]
    with pytest.raises(ValueError, match="filenames.pickle: not a pickled list of file names, and not opened otherwise: it asks"):
        read_filename_pickle(written(tmp_path, data))
    assert not mark.exists()
    pickle.loads(data)  # the attack is a real one
    assert mark.exists()


@pytest.mark.parametrize(
    "data",
    [
        pickle.dumps({"names": NAMES}),
        pickle.dumps((*NAMES,)),
        pickle.dumps([*NAMES, 3]),
        pickle.dumps([*NAMES, ["nested"]]),
        pickle.dumps("text"),
        pickle.dumps(NAMES)[:-5],
        b"",
        b"\x80\x09not a pickle",
        b"]r" + struct.pack("<I", 2**31 - 1) + b".",  # a memo of 16 GB
        b"\x80\x05\x96" + struct.pack("<Q", 2**40) + b".",  # a bytearray of a terabyte
        b"\x80\x02Pnames\n.",  # a persistent id
    ],
)
def test_anything_else_is_refused(tmp_path, data):
    with pytest.raises(ValueError, match="filenames.pickle: not "):
        read_filename_pickle(written(tmp_path, data))


def test_a_file_that_is_not_there_or_huge_is_named(tmp_path):
    with pytest.raises(ValueError, match="filenames.pickle: no such file"):
        read_filename_pickle(tmp_path / "filenames.pickle")
    with open(written(tmp_path, b""), "wb") as file:
        file.truncate(2**24 + 1)
    with pytest.raises(ValueError, match="filenames.pickle: larger than"):
        read_filename_pickle(tmp_path / "filenames.pickle")
