"""Anyone's own pictures: a folder with captions.jsonl, captions.csv or a text file beside each picture."""

import json
import re
import zlib

import pytest
from PIL import Image

from dalle.data.image_files import load_image
from dalle.data.manifest import check_manifest
from dalle.data.sources.captioned_folder import read_captioned_folder
from dalle.data.sources.problems import without_notes

PROMPTS = ("the exact same cat on the top as a sketch on the bottom", "the exact same cat on the top colored red on the bottom")
LINES = [("cat.png", PROMPTS[0]), ("cat.png", f"  {PROMPTS[1]}\n"), ("more/cat 2.jpg", PROMPTS[0])]


def write_jsonl(folder):
    lines = "".join(json.dumps({"file": file, "caption": caption, "by": "me"}) + "\n" for file, caption in LINES)
    (folder / "captions.jsonl").write_text("\n" + lines)


def read(folder):
    cat = str(zlib.crc32((folder / "cat.png").read_bytes()))
    manifest, problems = read_captioned_folder(folder, lambda checksum: "test" if checksum == cat else "train")
    check_manifest(manifest, "test")
    assert len(problems) - len(without_notes(problems)) == 1, "a note on what macOS left there"
    return manifest, without_notes(problems)


@pytest.fixture
def pictures(tmp_path):
    """Two cats, and what systems leave beside them."""
    (tmp_path / "more").mkdir()
    Image.new("RGB", (40, 30), "grey").save(tmp_path / "cat.png")
    Image.new("RGB", (20, 20), "black").save(tmp_path / "more/cat 2.jpg")
    (tmp_path / "__MACOSX").mkdir()
    for name in ("._cat.png", "__MACOSX/cat.png", "__MACOSX/cat.txt"):
        (tmp_path / name).write_bytes(b"\0")
    return tmp_path


@pytest.fixture
def folder(pictures):
    """The first cat under two captions."""
    write_jsonl(pictures)
    return pictures


def test_a_line_is_a_pair_and_a_file_an_image(folder):
    manifest, problems = read(folder)
    assert problems == []
    assert manifest.pair_id.tolist() == ["2", "3", "4"], "lines count from 1, empty ones too"
    assert manifest.image_id.tolist() == ["cat.png", "cat.png", "more/cat 2.jpg"]
    assert manifest.caption.tolist() == [PROMPTS[0], PROMPTS[1], PROMPTS[0]]
    assert manifest.split.tolist() == ["test", "test", "train"] and manifest.width.tolist() == [40, 40, 20]
    place = manifest.iloc[0]
    assert load_image(place.file, int(place.offset), int(place.num_bytes)).shape == (30, 40, 3)


def test_copies_of_a_picture_are_of_one_split(folder):
    """Or a picture would be trained on under one name and evaluated under another."""
    (folder / "more/again.png").write_bytes((folder / "cat.png").read_bytes())
    with open(folder / "captions.jsonl", "a") as file:
        file.write('{"file": "more/again.png", "caption": "the same cat"}')
    manifest, _ = read(folder)
    assert dict(zip(manifest.image_id, manifest.split, strict=True)) == {
        "cat.png": "test", "more/again.png": "test", "more/cat 2.jpg": "train",
    }  # fmt: skip


TABLE = "file,caption\ncat.png,{0}\ncat.png,  {1}\nmore/cat 2.jpg,{0}\n".format(*PROMPTS)


@pytest.mark.parametrize(
    "data",
    [
        TABLE.encode(),
        b"\xef\xbb\xbf" + TABLE.replace("\n", "\r\n").encode(),
        TABLE.replace(",", ";").replace("\n", "\r\n").encode("utf-8-sig"),
        TABLE.replace(",", "\t").encode(),
        TABLE.replace("file,", "File , ").replace("cat.png,", '"cat.png",').rstrip("\n").encode(),
        TABLE.replace("\n", "\r").encode(),
        TABLE.replace("\n", ",\n").replace("caption,", "caption,split").encode(),
    ],
    ids=["plain", "BOM and CRLF", "semicolons", "tabs", "quoted", "CR", "empty split"],
)
def test_a_table_says_the_same_as_the_lines(folder, data):
    expected, _ = read(folder)
    (folder / "captions.jsonl").unlink()
    (folder / "captions.csv").write_bytes(data)
    manifest, problems = read(folder)
    assert problems == [] and manifest.drop(columns="pair_id").equals(expected.drop(columns="pair_id"))


def test_text_files_say_the_same_as_the_lines(folder):
    expected, _ = read(folder)
    (folder / "captions.jsonl").unlink()
    (folder / "cat.txt").write_bytes(f"\ufeff{PROMPTS[0]}\r\n\r\n  {PROMPTS[1]}\r\n\r\n".encode())
    (folder / "more/cat 2.txt").write_bytes(PROMPTS[0].encode("utf-16"))
    manifest, problems = read(folder)
    assert problems == [] and manifest.drop(columns="pair_id").equals(expected.drop(columns="pair_id"))
    assert manifest.pair_id.tolist() == ["1-0", "1-2", "2-0"]


def test_captions_in_a_table_may_hold_commas_quotes_and_line_ends(pictures):
    (pictures / "captions.csv").write_bytes(b'caption,file\r\n"a cat, a ""grey"" one,\r\non a mat",cat.png\r\nx y,more/cat 2.jpg')
    manifest, problems = read(pictures)
    assert problems == [] and manifest.caption.tolist() == ['a cat, a "grey" one, on a mat', "x y"]
    assert manifest.pair_id.tolist() == ["2", "4"], "lines as an editor counts them"


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ('{"file": "cat.png", "caption": "a cat"', "line 6: not JSON"),
        ("[" * 100_000, "line 6: not JSON"),
        ('["cat.png", "a cat"]', 'line 6: no "file", or no "caption"'),
        ('{"file": "cat.png"}', 'line 6: no "file", or no "caption"'),
        ('{"file": "cat.png", "caption": "  "}', 'line 6: no "file", or no "caption"'),
        ('{"file": 7, "caption": "a cat"}', 'line 6: no "file", or no "caption"'),
        ('{"file": "../cat.png", "caption": "a cat"}', "line 6: its file '../cat.png' leads out of the folder"),
        ('{"file": "/etc/cat.png", "caption": "a cat"}', "line 6: its file '/etc/cat.png' leads out of the folder"),
        ('{"file": "dog.png", "caption": "a dog"}', "line 6: .*dog.png: listed, but cannot be opened"),
        ('{"file": "more", "caption": "a dog"}', "line 6: .*more: listed, but cannot be opened"),
        ('{"file": "captions.jsonl", "caption": "a dog"}', "line 6: .*captions.jsonl: not an image"),
        ('{"file": "cat.png", "caption": "a dog", "split": "dev"}', "line 6: its split 'dev' is none of train, val, test"),
        ('{"file": "cat.png", "caption": "a dog", "split": ["train"]}', "line 6: its split .'train'. is none of"),
        (json.dumps({"file": "./cat.png", "caption": f" {PROMPTS[0]}"}), r"line 6: cat.png has this caption already \(.*line 2\)"),
    ],
)
def test_a_line_that_cannot_be_used_is_named(folder, line, words):
    with open(folder / "captions.jsonl", "a") as file:
        file.write(f"\n{line}\n")
    manifest, problems = read(folder)
    assert len(manifest) == 3 and len(problems) == 1
    assert re.search(words, problems[0]), problems[0]
    assert str(folder / "captions.jsonl") in problems[0]


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ("cat.png,a cat, on a mat", "line 5: has 3 columns, the first line 2"),
        ("cat.png", "line 5: has 1 columns"),
        ("cat.png,", 'line 5: no "file", or no "caption"'),
        ("../cat.png,a cat", "line 5: its file '../cat.png' leads out"),
        ("cat.png,caf\udce9", "line 5: not UTF-8: byte 0xE9 after 'caf', .*save the file as UTF-8"),
        ('cat.png,"a cat', "line 5: not CSV: unexpected end"),
        ('cat.png,"a cat" on a mat', "line 5: not CSV: ',' expected"),
        (f'cat.png,"{"x" * 200_000}"', "line 5: not CSV: field larger"),
    ],
)
def test_a_row_that_cannot_be_used_is_named(pictures, row, words):
    (pictures / "captions.csv").write_bytes((TABLE + row).encode("utf-8", "surrogateescape"))
    manifest, problems = read(pictures)
    assert len(manifest) == 3 and len(problems) == 1
    assert re.search(words, problems[0]), problems[0]


def test_a_table_without_its_columns_is_refused(pictures):
    for data in (b"", b"image,text\na,b\n", "file\n".encode("utf-16")):
        (pictures / "captions.csv").write_bytes(data)
        with pytest.raises(ValueError, match="captions.csv: its first line names the columns, file, caption among them; it is"):
            read(pictures)


def test_bytes_that_are_no_text_are_a_problem_of_their_line(folder):
    with open(folder / "captions.jsonl", "ab") as file:
        file.write(b'{"file": "cat.png", "caption": "caf\xe9"}\n')
    manifest, problems = read(folder)
    assert len(manifest) == 3 and "line 5: not UTF-8: byte 0xE9 after " in problems[0]


def test_all_that_text_files_lack_is_named_at_once(pictures):
    (pictures / "cat.txt").write_text("a cat")
    Image.new("RGB", (8, 8)).save(pictures / "cat.jpg")
    Image.new("RGB", (8, 8)).save(pictures / "more/dog.webp")
    Image.new("RGB", (8, 8)).save(pictures / "more/silent.jpg")
    (pictures / "more/silent.txt").write_text(" \n\n")
    (pictures / "more/bird.txt").write_text("a bird")
    (pictures / "more/cat 2.txt").write_text("a line\n" * 2**18)
    manifest, problems = read(pictures)
    assert manifest.image_id.tolist() == ["cat.jpg"]
    expected = [
        "cat.png: cat.txt is that of cat.jpg already",
        "cat 2.txt: more than 1048576 bytes",
        "dog.webp: has no caption: dog.txt is not there",
        "silent.txt: holds no caption",
        "bird.txt: lies there, but no picture is called like it",
    ]
    for text in expected:
        assert sum(text in problem for problem in problems) == 1, (text, problems)
    assert len(problems) == len(expected)


def test_pictures_that_no_line_names_are_named(folder):
    Image.new("RGB", (8, 8)).save(folder / "more/dog.PNG")
    manifest, problems = read(folder)
    assert len(manifest) == 3 and problems == [f"{folder}/more/dog.PNG: has no caption"]


def test_splits_are_said_once_an_image_and_do_not_contradict(pictures):
    rows = ["cat.png,one,", "cat.png,two,val", "more/cat 2.jpg,one,train", "cat.png,three,train", "cat.png,four,"]
    (pictures / "captions.csv").write_text("\n".join(["file,caption,split", *rows]))
    manifest, problems = read(pictures)
    assert dict(zip(manifest.caption + manifest.image_id, manifest.split, strict=True)) == {
        "onecat.png": "val", "twocat.png": "val", "fourcat.png": "val", "onemore/cat 2.jpg": "train",
    }  # fmt: skip
    (problem,) = problems
    assert re.search(r"line 5: cat.png is of split val already \(.*line 3\)", problem)


def test_two_lists_or_none_are_refused(folder):
    (folder / "captions.csv").write_text(TABLE)
    with pytest.raises(ValueError, match="holds captions.jsonl and captions.csv; one list is read, take the other away"):
        read(folder)
    for name in ("captions.csv", "captions.jsonl"):
        (folder / name).unlink()
    with pytest.raises(ValueError, match="holds no captions"):
        read(folder)
