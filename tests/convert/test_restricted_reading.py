"""Pickles that would run something: each is refused by name, and leaves no trace of having run."""

import contextlib
import copy
import functools
import os
import pickle
import zipfile
from collections import OrderedDict
from random import Random

import pytest
import torch
from torch import nn

from dalle.convert import restricted_reading
from dalle.convert.restricted_reading import Shell, class_of, read_module
from released_standins import Conv2d, importable, networks, rewrite, save


class Payload:
    """Pickled as a call."""

    def __init__(self, function, *arguments):
        self.call = (function, arguments)

    def __reduce__(self):
        return self.call


@pytest.fixture
def mark(tmp_path):
    return tmp_path / "ran"


def touch(mark) -> Payload:
    return Payload(os.system, f"touch {mark}")


def in_the_state_of_a_block(payload):
    encoder, _ = networks()
    encoder.blocks.group_1.block_1.note = payload
    return encoder


def in_the_state_of_a_relu(payload):
    encoder, _ = networks()
    encoder.blocks.output.relu.inplace = payload
    return encoder


def as_a_hook(payload):
    encoder, _ = networks()
    encoder._forward_hooks[0] = payload
    return encoder


def as_a_parameter(payload):
    encoder, _ = networks()
    encoder.blocks.input._parameters["w"] = payload
    return encoder


def as_a_submodule(payload):
    encoder, _ = networks()
    encoder.blocks._modules["input"] = [{"deep": (payload,)}]
    return encoder


def alone(payload):
    return payload


@pytest.mark.parametrize(
    "place", [alone, in_the_state_of_a_block, in_the_state_of_a_relu, as_a_hook, as_a_parameter, as_a_submodule]
)
@pytest.mark.parametrize(
    "make, refused",
    [
        (touch, "posix.system"),
        (lambda mark: Payload(eval, f"open({str(mark)!r}, 'w')"), "__builtin__.eval"),
        (lambda mark: Payload(exec, f"open({str(mark)!r}, 'w')"), "__builtin__.exec"),
        (lambda mark: Payload(functools.partial(os.system, f"touch {mark}")), "functools.partial"),
        (lambda mark: Payload(list, Payload(open, str(mark), "w")), "__builtin__.list"),
        (lambda mark: Payload(torch._utils._rebuild_parameter, Payload(open, str(mark), "w"), False, {}), "io.open"),
    ],
)
def test_calls_are_refused_wherever_they_stand(tmp_path, mark, make, refused, place):
    path = save(place(make(mark)), tmp_path / "bad.pkl")
    with pytest.raises(ValueError, match=f"bad.pkl: data.pkl: refused '{refused}': a released network has no need of it"):
        read_module(path)
    assert not mark.exists()
    with importable(), contextlib.suppress(Exception):  # what a payload leaves may be no module
        torch.load(path, weights_only=False)
    assert mark.exists(), "the payload works where nothing keeps it from running"


SYSTEM = b"cposix\nsystem\n"


def text(words: str) -> bytes:
    return b"X" + len(words).to_bytes(4, "little") + words.encode()


OPCODES = {
    "INST": lambda line: b"(" + text(line) + b"iposix\nsystem\n.",
    "OBJ": lambda line: b"(cdall_e.utils\nConv2d\n" + text(line) + b"o.",
    "STACK_GLOBAL": lambda line: text("posix") + text("system") + b"\x93" + text(line) + b"\x85R.",
    "EXT1": lambda line: b"\x82\x01" + text(line) + b"\x85R.",
    "EXT2": lambda line: b"\x83\x01\x00" + text(line) + b"\x85R.",
    "EXT4": lambda line: b"\x84\x01\x00\x00\x00" + text(line) + b"\x85R.",
    "NEWOBJ_EX": lambda line: b"cdall_e.utils\nConv2d\n)}\x92.",
    "PERSID": lambda line: b"Pmodule\n.",
    "BYTEARRAY8": lambda line: b"\x96" + (2**40).to_bytes(8, "little") + b"x.",
}


def with_pickle(tmp_path, pickled):
    path = save(networks()[0], tmp_path / "bad.pkl")
    return rewrite(path, lambda name, data: pickled if name == "data.pkl" else data)


@pytest.mark.parametrize("opcode", OPCODES)
def test_opcodes_that_call_or_import_in_other_ways_are_refused(tmp_path, mark, opcode):
    path = with_pickle(tmp_path, b"\x80\x02" + OPCODES[opcode](f"touch {mark}"))
    refused = "expected 1099511627776 bytes" if opcode == "BYTEARRAY8" else f"refused the pickle opcode {opcode}$"
    with pytest.raises(ValueError, match=f"bad.pkl: data.pkl: {refused}"):
        read_module(path)
    assert not mark.exists()


@pytest.mark.parametrize("opcode", OPCODES)
def test_torch_s_reader_alone_keeps_them_from_running_as_well(tmp_path, mark, opcode, monkeypatch):
    monkeypatch.setattr(restricted_reading, "_check_pickle", lambda path, pickled: None)
    bodies = [OPCODES[opcode](f"touch {mark}"), SYSTEM + text(f"touch {mark}") + b"\x85R."]
    for body in bodies:
        with pytest.raises(ValueError, match="bad.pkl: refused by torch's restricted reader: "):
            read_module(with_pickle(tmp_path, b"\x80\x02" + body))
    assert not mark.exists()


CONV = b"cdall_e.utils\nConv2d\n"


@pytest.mark.parametrize(
    "pickled, message",
    [
        (CONV + b")\x81}X\x0c\x00\x00\x00__setstate__cdall_e.utils\nConv2d\nsb.", "state of dall_e.utils.Conv2d is no plain"),
        (CONV + b")\x81N}X\x01\x00\x00\x00aNs\x86b.", "state of dall_e.utils.Conv2d is no plain"),  # slots
        (CONV + b")\x81]b.", "state of dall_e.utils.Conv2d is no plain"),
        (CONV + b"}X\x01\x00\x00\x00aNsb.", "Can only build"),  # the class itself
        (CONV + b"]b.", "Can only build"),
        (CONV + b")R)R.", "unrecognized function"),  # an instance is called
        (CONV + b")\x81X\x01\x00\x00\x00aNs.", "Can only SETITEM"),
        (CONV + b")\x81Na.", "Can only append"),
        (CONV + b"N\x85R.", "takes no arguments"),
        (b"X\x06\x00\x00\x00moduleQ.", "persistent_load"),
        (b"X\x06\x00\x00\x00moduleN\x86Q.", "persistent_load"),
        (b"cbuiltins\nbytearray\n\x8a\x06\x00\x00\x00\x00\x00\x10\x85R.", "refused 'builtins.bytearray'"),
        (b"c_codecs\nencode\n.", "refused '_codecs.encode'"),
        (b"ctorch._tensor\n_rebuild_from_type_v2\n.", "refused 'torch._tensor._rebuild_from_type_v2'"),
        (b"ctorch\nLongStorage\n.", "refused 'torch.LongStorage'"),
        (b"ccopyreg\n_reconstructor\n.", "refused 'copyreg._reconstructor'"),
        (b"ctorch.nn.modules.pooling\nAvgPool2d\n.", "refused 'torch.nn.modules.pooling.AvgPool2d'"),
        (b"cdall_e.utils\nos.system\n.", "refused 'dall_e.utils.os.system'"),
        (b"", "pickle exhausted"),
        (b"}", "pickle exhausted"),
        (b".", "data.pkl|restricted reader"),
        (b"(NNN" * 10 + b"tttttttttttttttt.", "restricted reader"),
        (b"]" + b"N" * 2**20 + b".", "data.pkl is larger than"),
    ],
)
def test_what_an_allowed_class_cannot_be_made_to_do(tmp_path, pickled, message):
    with pytest.raises(ValueError, match=f"bad.pkl: .*{message}"):
        read_module(with_pickle(tmp_path, b"\x80\x02" + pickled if pickled else pickled))


def test_reading_leaves_torch_s_table_as_it_was(tmp_path):
    before = set(torch.serialization.get_safe_globals())  # torch keeps a set: its order is of no meaning
    root = read_module(save(networks()[0], tmp_path / "encoder.pkl"))
    assert set(torch.serialization.get_safe_globals()) == before
    assert isinstance(root, Shell) and class_of(root) == "dall_e.encoder.Encoder" and not isinstance(root, nn.Module)


def test_state_of_other_versions_of_torch_is_no_matter(tmp_path):
    encoder, _ = networks()
    for name in ("_non_persistent_buffers_set", "_is_full_backward_hook", "_state_dict_pre_hooks"):
        del encoder.__dict__[name]
    encoder.__dict__["_new_in_another_version"] = {"hooks": OrderedDict(), "seen": {1, 2}, "at": (1.5, None, b"".decode())}
    assert vars(read_module(save(encoder, tmp_path / "encoder.pkl")))["_new_in_another_version"]["seen"] == {1, 2}


def test_files_of_an_older_torch_on_a_gpu(tmp_path):
    """Of the records beside the pickle and the storages it wrote `version` alone, and storages say where they were."""
    encoder, _ = networks()
    first = encoder.blocks.input
    first._modules, first._parameters = OrderedDict(), OrderedDict(first._parameters)

    def as_it_was(name, data):
        if name == "data.pkl":
            return data.replace(text("cpu"), text("cuda:0"))
        return b"3\n" if name == "version" else data if name.startswith("data/") else None

    root = read_module(rewrite(save(encoder, tmp_path / "encoder.pkl"), as_it_was))
    read = vars(vars(vars(root)["_modules"]["blocks"])["_modules"]["input"])
    assert read["device"] == torch.device("cuda:0") and torch.equal(read["_parameters"]["w"], first.w)


def test_tensors_that_reach_beyond_what_is_stored(tmp_path):
    storage = torch.storage.TypedStorage(wrap_storage=torch.zeros(24).untyped_storage(), dtype=torch.float32, _internal=True)
    for offset, size, stride in [(20, (5,), (1,)), (0, (4, 7), (7, 1)), (0, (3,), (12,)), (-1, (2,), (1,)), (0, (-2,), (1,))]:
        tensor = Payload(torch._utils._rebuild_tensor_v2, storage, offset, size, stride, False, OrderedDict())
        with pytest.raises(ValueError, match="refused by torch's restricted reader: "):
            read_module(save(as_a_parameter(tensor), tmp_path / "bad.pkl"))


def test_records_that_are_shorter_than_the_pickle_says(tmp_path):
    path = save(networks()[0], tmp_path / "bad.pkl")
    with pytest.raises(ValueError, match="refused by torch's restricted reader: "):
        read_module(rewrite(path, lambda name, data: data[:-4] if name == "data/0" else data))


def test_archives_that_unfold(tmp_path):
    path = save(networks()[0], tmp_path / "bad.pkl")
    with pytest.raises(ValueError, match="compressed, which torch.save never does"):
        read_module(rewrite(path, compression=zipfile.ZIP_DEFLATED))
    rewrite(path)
    with zipfile.ZipFile(path, "a") as archive:  # many entries for the same bytes
        for number in range(10_000, 20_000):
            again = copy.copy(archive.getinfo("bad/data/0"))
            again.filename = f"bad/data/{number}"
            archive.filelist.append(again)
        archive._didModify = True
    with pytest.raises(ValueError, match="its records are said to be larger than the file"):
        read_module(path)


def test_a_record_that_is_there_twice(tmp_path):
    path = save(networks()[0], tmp_path / "bad.pkl")
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("other/data.pkl", b"\x80\x02N.")
    with pytest.raises(ValueError, match=r"holds the record data\.pkl twice"):
        read_module(path)


def test_files_that_are_no_whole_archive(tmp_path):
    path = save(networks()[0], tmp_path / "bad.pkl")
    whole = path.read_bytes()
    for length in (len(whole) - 1, len(whole) // 2, 100, 4):
        path.write_bytes(whole[:length])
        with pytest.raises(ValueError, match="bad.pkl: not a whole zip archive"):
            read_module(path)
    damaged = bytearray(whole)
    damaged[whole.index(networks()[0].blocks.input.w.numpy().tobytes())] ^= 1
    path.write_bytes(damaged)
    with pytest.raises(ValueError, match="not a whole zip archive: Bad CRC-32"):
        read_module(path)
    rewrite(save({}, path), lambda name, data: data)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("bad/weights.bin", b"")
    with pytest.raises(ValueError, match=r"holds no data\.pkl"):
        read_module(path)


@pytest.mark.filterwarnings("ignore:Couldn't retrieve source code")
def test_files_that_are_no_archive(tmp_path, mark):
    path = tmp_path / "bad.pkl"
    for data in (b"", b"PK", b"hello", pickle.dumps(touch(mark))):
        path.write_bytes(data)
        with pytest.raises(ValueError, match="bad.pkl: not the zip archive that torch.save writes since 1.6"):
            read_module(path)
    with pytest.raises(ValueError, match="load it with that torch, .* and torch.save it again"):
        read_module(save(Conv2d(1, 1, 1), path, _use_new_zipfile_serialization=False))
    assert not mark.exists()


def test_whatever_byte_is_damaged_nothing_but_a_value_error_comes(tmp_path):
    path = save(Conv2d(3, 4, 3), tmp_path / "bad.pkl")
    whole, random, refused = path.read_bytes(), Random(0), 0
    with zipfile.ZipFile(path) as archive:
        pickled = archive.read("bad/data.pkl")
    for turn in range(400):
        damaged = bytearray(pickled if turn % 2 else whole)
        damaged[random.randrange(len(damaged))] = random.randrange(256)
        path.write_bytes(whole if turn % 2 else damaged)
        if turn % 2:
            rewrite(path, lambda name, data, pickled=damaged: bytes(pickled) if name == "data.pkl" else data)
        try:
            read_module(path)
        except ValueError as error:
            assert str(error).startswith(f"{path}: ")
            refused += 1
    assert refused > 100
