"""Every source given captions in every encoding: read for what they say, or one problem that names the file."""

import json
import unicodedata

import pytest
import regex
from small_pairs import encoded, picture, write_tar
from test_coco import write_coco
from test_cub import CLASSES, write_cub

from dalle.data.sources.captioned_folder import read_captioned_folder
from dalle.data.sources.coco import read_coco
from dalle.data.sources.cub import read_cub
from dalle.data.sources.problems import without_notes
from dalle.data.sources.rows import clean_caption
from dalle.data.sources.webdataset import read_webdataset

JPEG = encoded(picture(0))
WORDS = "a red café table by the window"
ENCODINGS = {
    "UTF-8": WORDS.encode(),
    "UTF-8 with a mark": WORDS.encode("utf-8-sig"),
    "UTF-16 of Notepad": WORDS.encode("utf-16"),
    "UTF-16, big end first": b"\xfe\xff" + WORDS.encode("utf-16-be"),
    "UTF-32": WORDS.encode("utf-32"),
}
OTHERS = {
    "Windows-1252": WORDS.encode("cp1252"),
    "DOS": WORDS.encode("cp437"),
    "UTF-16 without a mark": WORDS.encode("utf-16-le"),
    "Japanese": "窓のそばの赤いテーブル".encode("shift-jis"),
}


def of_shard(folder, data):
    write_tar(folder / "0.tar", {"a.jpg": JPEG, "a.txt": b"a good one", "b.jpg": JPEG, "b.txt": data})
    return read_webdataset(folder)


def of_shard_s_json(folder, data):
    write_tar(folder / "0.tar", {"a.jpg": JPEG, "a.txt": b"a good one", "b.jpg": JPEG, "b.json": as_json(data)})
    return read_webdataset(folder)


def as_json(data):
    """{"caption": ...} in the encoding of the caption's bytes."""
    for mark, encoding in ((b"\xff\xfe\0\0", "utf-32"), (b"\xff\xfe", "utf-16"), (b"\xfe\xff", "utf-16"), (b"", "utf-8")):
        if data.startswith(mark):
            try:
                return json.dumps({"caption": data.decode(encoding)}, ensure_ascii=False).encode(encoding)
            except ValueError:
                break
    return b'{"caption": "' + data + b'"}'


def of_text_file(folder, data):
    for name, text in (("a", b"a good one"), ("b", data)):
        (folder / f"{name}.jpg").write_bytes(JPEG)
        (folder / f"{name}.txt").write_bytes(text)
    return read_captioned_folder(folder, lambda _: "train")


def of_cub_text(folder, data):
    _, texts, names = write_cub(folder)
    (texts / "text_c10" / names[0]).with_suffix(".txt").write_bytes(data)
    return read_cub(folder, "testclasses", "image")


SOURCES = pytest.mark.parametrize("read", [of_shard, of_shard_s_json, of_text_file, of_cub_text])


@SOURCES
@pytest.mark.parametrize("encoding", ENCODINGS)
def test_captions_say_what_was_written(tmp_path, read, encoding):
    manifest, problems = read(tmp_path, ENCODINGS[encoding])
    assert problems == [] and WORDS in set(manifest.caption)


@SOURCES
@pytest.mark.parametrize("encoding", OTHERS)
def test_captions_in_other_encodings_are_one_problem_and_no_letter_is_lost(tmp_path, read, encoding):
    manifest, problems = read(tmp_path, OTHERS[encoding])
    assert len(problems) == 1 and str(tmp_path) in problems[0] and "UTF-8" in problems[0], problems
    assert len(manifest) and all("good one" in text or "bird" in text or "wings" in text for text in manifest.caption)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32"])
@pytest.mark.parametrize("kind", ["captions.jsonl", "captions.csv", "Captions.CSV"])
def test_lists_say_what_was_written(tmp_path, kind, encoding):
    (tmp_path / "1.jpg").write_bytes(JPEG)
    line = json.dumps({"file": "1.jpg", "caption": WORDS}, ensure_ascii=False)
    text = line if kind.endswith("jsonl") else f"file\tcaption\r\n1.jpg\t{WORDS}\r\n"
    (tmp_path / kind).write_bytes(text.encode(encoding))
    manifest, problems = read_captioned_folder(tmp_path, lambda _: "train")
    assert problems == [] and manifest.caption.tolist() == [WORDS]


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_coco_says_what_was_written(tmp_path, encoding):
    path = write_coco(tmp_path, "val", [(1, JPEG)], [(1, 1, WORDS)])
    path.write_bytes(json.dumps(json.loads(path.read_text()), ensure_ascii=False).encode(encoding))
    manifest, problems = read_coco(tmp_path, 2014)
    assert problems == [] and manifest.caption.tolist() == [WORDS]
    path.write_bytes(json.dumps(json.loads(path.read_text(encoding)), ensure_ascii=False).encode("cp1252"))
    with pytest.raises(ValueError, match="captions_val2014.json: not UTF-8: byte 0xE9 after "):
        read_coco(tmp_path, 2014)


def in_cub(folder, split, crop="image"):
    manifest, problems = read_cub(folder, split, crop)
    return dict(zip(manifest.image_id, manifest.split, strict=True)), problems


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_tables_of_cub_with_marks_and_windows_line_ends_move_no_class(tmp_path, encoding):
    tables, texts, _ = write_cub(tmp_path)
    (tables / "bounding_boxes.txt").write_text("".join(f"{number} 5.0 5.0 20.0 20.0\n" for number in range(1, 7)))
    (texts / "testclasses.txt").write_text(f"{CLASSES[0]}\n{CLASSES[2]}\n")
    cases = [("testclasses", "image"), ("train_test_split", "box")]
    expected = [in_cub(tmp_path, *case) for case in cases]
    assert expected[0] == ({"1": "test", "2": "test", "3": "train", "4": "train", "5": "test", "6": "test"}, [])
    for path in (*tables.glob("*.txt"), texts / "testclasses.txt"):
        path.write_bytes("\r\n".join(path.read_text().splitlines()).encode(encoding))
    assert [in_cub(tmp_path, *case) for case in cases] == expected


@pytest.mark.parametrize("name", ["001.Black_Footed_Albatross", "Black_footed_Albatross", "001.Black_footed_Albatros"])
def test_a_class_that_is_called_otherwise_ends_the_reading(tmp_path, name):
    _, texts, _ = write_cub(tmp_path)
    (texts / "testclasses.txt").write_text(f"{name}\n{CLASSES[2]}\n")
    words = rf"testclasses.txt: 1 of 2 classes are not in classes.txt: '{name}' \(is it {CLASSES[0]}\?\); correct the names"
    with pytest.raises(ValueError, match=words):
        read_cub(tmp_path, "testclasses", "image")


def test_a_line_of_a_table_that_is_no_text_is_a_problem(tmp_path):
    tables, _, names = write_cub(tmp_path)
    with open(tables / "images.txt", "ab") as file:
        file.write(f"7 {CLASSES[0]}/caf".encode() + b"\xe9.jpg\n")
    manifest, problems = read_cub(tmp_path, "testclasses", "image")
    assert len(manifest) == 12 and len(problems) == 1 and "images.txt: line 7: not UTF-8: byte 0xE9" in problems[0]


INVISIBLE = ["\u200b", "\u200b \u2060\n", "\ufeff", "\u200e\u200f", "\u3164", "\u2800\u2800", "\u00ad", "\u034f", "\U000e0001"]


@SOURCES
@pytest.mark.parametrize("caption", INVISIBLE)
def test_captions_that_nobody_can_see_are_empty(tmp_path, read, caption):
    manifest, problems = read(tmp_path, caption.encode())
    if read in (of_shard, of_shard_s_json):  # which leave them to the filters, who count them
        assert sorted(manifest.caption) == ["", "a good one"] and problems == []
    else:
        assert len(problems) == 1 and "holds no caption" in problems[0]
        assert all(clean_caption(text) == text != "" for text in manifest.caption)


def test_what_is_seen_is_what_unicode_says():
    """Of every character; the oracle has tables of its own. The empty Braille cell is blank by its name alone."""
    # but for those that are younger than Python's own tables
    characters = [chr(code) for code in range(0x110000) if unicodedata.category(chr(code)) not in ("Cs", "Cn")]
    blank = r"[\p{Default_Ignorable_Code_Point}\p{Z}\p{Cc}\p{Cf}\u2800\ufffd]"
    expected = set(regex.sub(blank, "", "".join(characters)))
    assert len(expected) > 100_000 and sorted(expected ^ set(filter(clean_caption, characters))) == []


def test_emoji_of_several_parts_stay_whole():
    family = "a \U0001f469\u200d\U0001f467 \u2764\ufe0f"
    assert clean_caption(f"  {family}\u200b ") == f"{family}\u200b"


def test_half_a_character_is_a_problem_and_no_question_mark(tmp_path):
    write_tar(tmp_path / "0.tar", {"a.jpg": JPEG, "a.txt": b"fine", "b.jpg": JPEG, "b.json": b'{"caption": "a cat \\ud83d"}'})
    manifest, problems = read_webdataset(tmp_path)
    assert manifest.caption.tolist() == ["fine"]
    words = r"key 'b': the caption of its .json holds half a character (\ud83d) after 'a cat '"
    assert len(problems) == 1 and words in problems[0]
    assert without_notes(problems) == problems
