"""Text as editors, shells and spreadsheets of any country save it: read for what it says, or refused by name."""

import csv
import io
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dalle.data.text_files import decode_text, escaped, is_utf8, read_text, require_text, table_rows, text_lines

WORDS = "a red café table, 漢字 and 🐈"
ENCODINGS = ["utf-8", "utf-8-sig", "utf-16", "utf-32"]


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_byte_order_marks_are_honoured(encoding):
    assert decode_text(WORDS.encode(encoding)) == WORDS


@pytest.mark.parametrize(("mark", "encoding"), [(b"\xfe\xff", "utf-16-be"), (b"\0\0\xfe\xff", "utf-32-be")])
def test_big_ends_come_first_where_the_mark_says_so(mark, encoding):
    assert decode_text(mark + WORDS.encode(encoding)) == WORDS


@given(st.text(st.characters(exclude_characters="\0\ufeff", exclude_categories=["Cs"])), st.sampled_from(ENCODINGS))
def test_what_was_written_is_read(text, encoding):
    assert decode_text(text.encode(encoding)) == text


@given(st.binary(max_size=40))
def test_bytes_are_read_as_python_reads_them_or_refused(data):
    try:
        text = decode_text(data)
    except ValueError:
        return
    is_marked = data[:2] in (b"\xff\xfe", b"\xfe\xff", b"\0\0")
    assert is_marked or any(text.encode(encoding) == data for encoding in ("utf-8", "utf-8-sig"))


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"a caf\xe9", "not UTF-8: byte 0xE9 after 'a caf', probably Windows-1252 or Latin-1; save the file as UTF-8"),
        ("猫の写真".encode("shift-jis"), "not UTF-8: byte 0x94 after ''"),
        ("a red cat".encode("utf-16-le"), "zero byte after 'a': either no text, or UTF-16 without a byte order mark"),
        ("a red cat".encode("utf-16")[:-1], "not UTF-16, as its byte order mark says, at byte 18"),
        (b"\xed\xa0\x80", "not UTF-8: byte 0xED"),
        (b"PK\x03\x04rest", "a workbook of a spreadsheet or another zip file"),
    ],
)
def test_what_is_no_text_is_refused_by_name(tmp_path, data, words):
    with pytest.raises(ValueError, match=re.escape(words)):
        decode_text(data)
    (tmp_path / "a.txt").write_bytes(data)
    with pytest.raises(ValueError, match=re.escape(f"{tmp_path}/a.txt: ") + ".*" + re.escape(words)):
        read_text(tmp_path / "a.txt")


def test_a_missing_file_is_named(tmp_path):
    for read in (read_text, text_lines, lambda path: list(table_rows(path, ["file"], []))):
        with pytest.raises(ValueError, match="none.txt: cannot be opened: No such file"):
            read(tmp_path / "none.txt")


def test_one_bad_line_is_refused_alone(tmp_path):
    (tmp_path / "a.txt").write_bytes(b"\xef\xbb\xbfone\r\ncaf\xe9\rthree\x0bis one line\n")
    lines = text_lines(tmp_path / "a.txt")
    assert lines[::2] == ["one", "three\x0bis one line"] and lines[3:] == [""]
    with pytest.raises(ValueError, match="byte 0xE9 after 'caf'"):
        require_text(lines[1])
    with pytest.raises(ValueError, match=r"half a character \(\\ud83d\) after 'a cat '"):
        require_text("a cat \ud83d")


def test_names_that_are_no_text_can_be_printed():
    name = b"caf\xe9/\xc3\xa9.jpg".decode("utf-8", "surrogateescape")
    assert escaped(name) == "caf\\xe9/é.jpg" and escaped("a\ud83d") == "a\\ud83d" and escaped("é") == "é"
    assert not is_utf8(name) and is_utf8("é")


ROWS = [["file", "caption"], ["1.jpg", 'a "red" café; a cup,\ttea'], ["2.jpg", "two\r\nlines"], ["3.jpg", ""]]
EXPECTED = [dict(zip(ROWS[0], row, strict=True)) for row in ROWS[1:]]


def saved(rows, delimiter=",", ends="\r\n"):
    text = io.StringIO(newline="")
    csv.writer(text, delimiter=delimiter, lineterminator=ends).writerows(rows)
    return text.getvalue()


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize("ends", ["\n", "\r\n"])
@pytest.mark.parametrize("says_so", [False, True])
def test_tables_as_spreadsheets_save_them(tmp_path, encoding, delimiter, ends, says_so):
    text = (f"sep={delimiter}{ends}" if says_so else "") + saved(ROWS, delimiter, ends)
    (tmp_path / "a.csv").write_bytes(text.encode(encoding))
    problems = []
    found = list(table_rows(tmp_path / "a.csv", ("file", "caption"), problems))
    assert [cells for _, cells in found] == EXPECTED and problems == []
    assert [number for number, _ in found] == [line + says_so for line in (2, 3, 5)], "lines as an editor counts them"


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "its first line names the columns, file, caption among them; it is []"),
        (b"image,text\na,b\n", "it is ['image', 'text']"),
        (b"file,file,caption\n", "file is there twice"),
        (b"file,caption,caf\xe9\n", "its first line, which names the columns, cannot be read: not UTF-8"),
        (b"PK\x03\x04\x14", "a workbook of a spreadsheet"),
        ("file,caption\n".encode("utf-16-le"), "UTF-16 without a byte order mark"),
    ],
)
def test_a_table_that_cannot_be_read_is_named(tmp_path, data, words):
    (tmp_path / "a.csv").write_bytes(data)
    with pytest.raises(ValueError, match=re.escape(f"{tmp_path}/a.csv: ") + ".*" + re.escape(words)):
        list(table_rows(tmp_path / "a.csv", ("file", "caption"), []))


def test_rows_that_cannot_be_read_are_named_and_the_others_are_read(tmp_path):
    (tmp_path / "a.csv").write_bytes(b"File;Caption \n1;caf\xe9\n2;a;b\n\n;\n3;fine\n4;\"open")
    problems = []
    assert list(table_rows(tmp_path / "a.csv", ("file", "caption"), problems)) == [(6, {"file": "3", "caption": "fine"})]
    columns = "line 3: has 3 columns, the first line 2: a cell with a semicolon is quoted"
    lines = ["line 2: not UTF-8: byte 0xE9", columns, "line 7: not CSV"]
    assert len(problems) == 3
    for words, problem in zip(lines, problems, strict=True):
        assert problem.startswith(f"{tmp_path}/a.csv, {words}")
