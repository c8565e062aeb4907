"""One captioned folder with every kind of trouble at once: each file is used, named or counted, and the numbers add up."""

import os
import re
import unicodedata
from collections import Counter
from pathlib import Path

import pytest
from bad_pictures import UNREADABLE
from small_pairs import encoded, picture

from dalle.data.manifest import check_manifest
from dalle.data.sources.captioned_folder import read_captioned_folder
from dalle.data.sources.problems import Note, require_few_problems, without_notes
from dalle.data.sources.walking import walk

NUM_GOOD, NUM_EACH = 10, 6
NFC, NFD = (unicodedata.normalize(form, "café") for form in ("NFC", "NFD"))
WORDS = "a red café table"


def jpeg(number: int) -> bytes:
    return encoded(picture(number))


def put(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)


def pair(picture_file: str, text_file: str, text: bytes = WORDS.encode(), data: bytes | None = None):
    """Writes two files whose names hold {n}."""

    def write(folder: Path, number: int) -> None:
        if picture_file:
            put(folder / picture_file.format(n=number), jpeg(number) if data is None else data)
        if text_file:
            put(folder / text_file.format(n=number), text)

    return write


def link(name: str, target: str):
    return lambda folder, number: (folder / name.format(n=number)).symlink_to(target)


def folder_of_names_that_are_no_text(folder: Path, number: int) -> None:
    put(folder / os.fsdecode(b"caf\xe9%d" % number) / "1.jpg", jpeg(number))


# by kind: what writes one of it, and of what is bad the pattern of its problem
GOOD = {
    "UTF-8": pair("good/{n}.jpg", "good/{n}.txt"),
    "a mark": pair("mark/{n}.jpg", "mark/{n}.txt", WORDS.encode("utf-8-sig")),
    "UTF-16": pair("wide/{n}.jpg", "wide/{n}.txt", WORDS.encode("utf-16")),
    "UTF-32": pair("wider/{n}.jpg", "wider/{n}.txt", WORDS.encode("utf-32")),
    "capitals": pair("capitals/{n}.JPEG", "capitals/{n}.TXT"),
    "PNG": pair("kinds/{n}.png", "kinds/{n}.txt", data=encoded(picture(0), "PNG")),
    "WebP": pair("kinds/w{n}.webp", "kinds/w{n}.txt", data=encoded(picture(1), "WEBP")),
    "accents": pair(f"{{n}}{NFC}.jpg", f"{{n}}{NFD}.txt"),
    "accents the other way": pair(f"{{n}}x{NFD}.jpg", f"{{n}}x{NFC}.txt"),
    "Macintosh line ends": pair("mac/{n}.jpg", "mac/{n}.txt", b"\r" + WORDS.encode() + b"\r"),
    "spaces and quotes": pair("it's a \"name\" {n} .jpg", "it's a \"name\" {n} .txt"),
}
BAD = {
    "Windows-1252": (pair("b/l{n}.jpg", "b/l{n}.txt", WORDS.encode("cp1252")), r"l\d.txt: not UTF-8: byte 0xE9"),
    "UTF-16 without a mark": (pair("b/u{n}.jpg", "b/u{n}.txt", "ab".encode("utf-16-le")), r"u\d.txt: holds a zero byte"),
    "half of UTF-16": (pair("b/h{n}.jpg", "b/h{n}.txt", "ab".encode("utf-16")[:-1]), r"h\d.txt: not UTF-16"),
    "a workbook": (pair("b/x{n}.jpg", "b/x{n}.txt", b"PK\x03\x04.."), r"x\d.txt: a workbook"),
    "an empty caption": (pair("b/e{n}.jpg", "b/e{n}.txt", b""), r"e\d.txt: holds no caption"),
    "a blank caption": (pair("b/s{n}.jpg", "b/s{n}.txt", b" \r\n\t\n"), r"s\d.txt: holds no caption"),
    "an invisible caption": (pair("b/v{n}.jpg", "b/v{n}.txt", "\u200b\u2060".encode()), r"v\d.txt: holds no caption"),
    "a book": (pair("b/k{n}.jpg", "b/k{n}.txt", b"x\n" * 2**20), r"k\d.txt: more than 1048576 bytes"),
    "no caption": (pair("b/n{n}.jpg", ""), r"n\d.jpg: has no caption: n\d.txt is not there"),
    "no picture": (pair("", "b/p{n}.txt"), r"p\d.txt: lies there, but no picture"),
    "a picture of another kind": (pair("b/o{n}.heic", ""), r"o\d.heic: a picture of a kind that only a list"),
    "a dead link": (link("dead{n}.jpg", "nowhere"), r"dead\d.jpg: a link that leads nowhere"),
    "a link to itself": (link("self{n}", "self{n}"), r"self\d: a link that leads nowhere"),
    "a circle": (link("circle{n}", "."), r"circle\d: a link to a folder that is read already"),
    "a link to a folder above": (link("above{n}", ".."), r"above\d: a link to a folder that is read already"),
    "a link to a folder beside": (link("beside{n}", "good"), r"beside\d: a link to a folder that is read already"),
    "a pipe": (lambda folder, number: os.mkfifo(folder / f"{number}.fifo"), r"\d.fifo: neither a file nor a folder"),
    "a name of Latin-1": (pair(os.fsdecode(b"\xe9{n}.jpg"), ""), r"\\xe9\d.jpg: its name is not UTF-8"),
    "a folder of Latin-1": (folder_of_names_that_are_no_text, r"caf\\xe9\d/1.jpg: its name is not UTF-8"),
    **{
        f"a picture that is {kind}": (pair(f"u{at}/{{n}}.jpg", f"u{at}/{{n}}.txt", data=data), rf"u{at}/\d.jpg: .*{words}")
        for at, (kind, (data, words)) in enumerate(UNREADABLE.items())
    },
}
QUIET = {
    "hidden": pair(".{n}", ".dir/{n}"),
    "of macOS": pair("__MACOSX/._{n}.jpg", "._{n}.txt"),
    "of img2dataset": pair("good/{n}.json", "{n}_stats.json"),
    "read me": pair("README{n}", "LICENCE{n}"),
}


@pytest.fixture
def folder(tmp_path):
    root = tmp_path / "photos"
    for number in range(NUM_EACH):
        for write in (*GOOD.values(), *(write for write, _ in BAD.values()), *QUIET.values()):
            write(root, number)
    pair("disk2/{n}.jpg", "disk2/{n}.txt")(tmp_path, 7)
    (root / "linked").symlink_to("../disk2")
    return root


def entries(folder: Path) -> int:
    """Files, links and whatever else lies below and is no folder of its own."""
    found = ((Path(parent), folders, files) for parent, folders, files in os.walk(folder))
    return sum(len(files) + sum((parent / name).is_symlink() for name in folders) for parent, folders, files in found)


def test_every_file_is_used_or_named_or_counted(folder):
    assert len(GOOD) + len(BAD) + len(QUIET) >= 30
    manifest, problems = read_captioned_folder(folder, lambda _: "train")
    check_manifest(manifest, "test")
    assert set(manifest.caption) == {WORDS} and len(manifest) == len(GOOD) * NUM_EACH + 1
    named = without_notes(problems)
    for kind, (_, pattern) in BAD.items():
        assert sum(bool(re.search(pattern, problem)) for problem in named) == NUM_EACH, kind
    assert len(named) == len(BAD) * NUM_EACH
    assert all(problem.startswith(str(folder)) and problem.encode("utf-8") for problem in problems)
    (note,) = [problem for problem in problems if isinstance(problem, Note)]
    total, used = map(int, re.search(r": (\d+) files, of which (\d+) are used; ", note).groups())
    found = re.findall(r"; (.+?) \((\d+)\)(?=; |$)", note)
    reasons = Counter({reason: int(number) for reason, number in found})
    assert total == used + reasons.total() == entries(folder) - 1 + 2, "the link to disk2 is two files"
    assert reasons["hidden"] == 4 * NUM_EACH and reasons["not used: .json"] == reasons["not used: no extension"] == 2 * NUM_EACH
    assert reasons["its name is not UTF-8, so it must be renamed"] == 2 * NUM_EACH
    assert reasons["a link that leads nowhere"] == 2 * NUM_EACH and reasons["neither a file nor a folder"] == NUM_EACH
    with pytest.raises(ValueError, match="more than 1%"):
        require_few_problems(problems, len(manifest), "photos")


def test_an_untouched_folder_has_nothing_to_say(tmp_path):
    for number in range(NUM_GOOD):
        for write in GOOD.values():
            write(tmp_path, number)
    manifest, problems = read_captioned_folder(tmp_path, lambda _: "train")
    assert problems == [] and len(manifest) == NUM_GOOD * len(GOOD) and len(walk(tmp_path).files) == 2 * len(manifest)
