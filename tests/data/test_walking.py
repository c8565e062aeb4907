"""Every entry below a folder is a file to read, or left for a reason; nothing is passed over and nothing is met twice."""

import os
import unicodedata
from collections import Counter
from pathlib import Path

import pytest

from dalle.data.sources.walking import DEAD, HIDDEN, NOT_UTF8, READ_ALREADY, SPECIAL, UNLISTED, walk

NFC, NFD = (unicodedata.normalize(form, "café") for form in ("NFC", "NFD"))


def put(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"x")


def found(folder: Path) -> list[str]:
    return [path.relative_to(folder).as_posix() for path in walk(folder).files]


def left(folder: Path) -> dict[str, str]:
    return {os.fsdecode(path.relative_to(folder)): reason for path, reason in walk(folder).left.items()}


def test_files_come_first_and_folders_by_name(tmp_path):
    put(tmp_path, "b/2", "b/1", "a/z/1", "a/9", "c", "B/1")
    assert found(tmp_path) == ["c", "B/1", "a/9", "a/z/1", "b/1", "b/2"]


def test_links_to_files_and_folders_are_followed(tmp_path):
    put(tmp_path, "disk2/b/1", "disk2/b/deep/2", "disk2/one")
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos/b").symlink_to("../disk2/b")
    (tmp_path / "photos/one").symlink_to("../disk2/one")
    assert found(tmp_path / "photos") == ["one", "b/1", "b/deep/2"] and left(tmp_path / "photos") == {}


def test_circles_end_and_no_folder_is_read_twice(tmp_path):
    """Own names go before those of links, so that ids do not depend on a link that is called earlier in the alphabet."""
    put(tmp_path, "root/m/1", "root/m/n/2", "beside/3", "beside/inner/4")
    links = {"a": "m", "m/n/up": "..", "m/top": "../..", "over": "..", "s": "../beside", "t": "../beside/inner", "u": "../beside"}
    for name, target in links.items():
        (tmp_path / "root" / name).symlink_to(target)
    (tmp_path / "beside/back").symlink_to("../root")
    (tmp_path / "beside/me").symlink_to(".")
    assert found(tmp_path / "root") == ["m/1", "m/n/2", "s/3", "s/inner/4"]
    twice = ["a", "over", "t", "u", "m/top", "m/n/up", "s/back", "s/me"]
    assert left(tmp_path / "root") == dict.fromkeys(twice, READ_ALREADY)


def test_a_folder_that_holds_one_that_was_linked_to_before_is_read_but_for_that(tmp_path):
    put(tmp_path, "disk/part/1", "disk/2")
    (tmp_path / "root").mkdir()
    (tmp_path / "root/a").symlink_to("../disk/part")
    (tmp_path / "root/b").symlink_to("../disk")
    assert found(tmp_path / "root") == ["a/1", "b/2"] and left(tmp_path / "root") == {"b/part": READ_ALREADY}


def test_what_cannot_be_read_is_left_for_a_reason(tmp_path, monkeypatch):
    put(tmp_path, "1", ".DS_Store", ".git/config", ".git/objects/ab", "__MACOSX/._1", "sub/.hidden", "shut/2")
    (tmp_path / "dead").symlink_to("nowhere")
    (tmp_path / "self").symlink_to("self")
    (tmp_path / ".dead").symlink_to("nowhere")
    os.mkfifo(tmp_path / "pipe")
    latin = os.fsdecode(b"caf\xe9")
    put(tmp_path, latin, f"{latin}s/3")
    scandir = os.scandir

    def refuse(path):
        if Path(path).name == "shut":
            raise PermissionError(13, "Permission denied")
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
    hidden = [".DS_Store", ".dead", ".git/config", ".git/objects/ab", "__MACOSX/._1", "sub/.hidden"]
    assert found(tmp_path) == ["1"]
    assert left(tmp_path) == {
        **dict.fromkeys(hidden, HIDDEN), "dead": DEAD, "self": DEAD, "pipe": SPECIAL, "shut": UNLISTED,
        latin: NOT_UTF8, f"{latin}s/3": NOT_UTF8,
    }  # fmt: skip
    tree = walk(tmp_path)
    assert len(tree.problems()) == 6 and f"{tmp_path}/caf\\xe9s/3: its name is not UTF-8, so it must be renamed" in tree.problems()
    assert all(problem.isascii() for problem in tree.problems())


def test_counts_add_up_and_are_said_where_no_problem_says_them(tmp_path):
    put(tmp_path, "1.jpg", "2.JPG", "1.json", "README", ".hidden")
    (tmp_path / "dead").symlink_to("nowhere")
    tree, used = walk(tmp_path), {tmp_path / "1.jpg"}
    kinds = {"not used: .jpg": 1, "not used: .json": 1, "not used: no extension": 1}
    assert tree.counts(used) == Counter({"used": 1, HIDDEN: 1, DEAD: 1, **kinds}) and tree.counts(used).total() == 6
    words = "hidden (1); not used: .jpg (1); not used: .json (1); not used: no extension (1)"
    assert tree.notes(used, (".jpg",)) == [f"{tmp_path}: 6 files, of which 1 are used; a link that leads nowhere (1); {words}"]
    for name in ("1.json", "README", ".hidden"):
        (tmp_path / name).unlink()
    assert walk(tmp_path).notes(used, (".jpg",)) == [], "what is left has a line of its own among the problems"


@pytest.mark.parametrize(("listed", "there"), [(NFC, NFD), (NFD, NFC), (NFC, NFC), (NFD, NFD)])
def test_accents_are_found_however_they_are_spelt(tmp_path, listed, there):
    put(tmp_path, f"{there}/{there}.jpg", "plain.jpg")
    names = [f"{listed}/{listed}.jpg", "plain.jpg", f"{listed}.png"]
    assert walk(tmp_path).on_disk(names) == {names[0]: f"{there}/{there}.jpg", "plain.jpg": "plain.jpg", names[2]: names[2]}


def test_two_names_that_look_alike_stay_two(tmp_path):
    put(tmp_path, NFC, NFD)
    assert walk(tmp_path).on_disk([NFC, NFD]) == {NFC: NFC, NFD: NFD}


def test_no_folder_has_nothing_below_it(tmp_path):
    assert walk(tmp_path / "none/none").files == []
