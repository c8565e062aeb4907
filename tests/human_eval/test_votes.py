"""Files of votes as people hand them in: read the same however they were saved, or refused with file, line and rule."""

import csv
import io

import pytest
from voted_sheets import HEADER, as_csv

from dalle.human_eval.answer_key import read_key
from dalle.human_eval.votes import read_votes

ROWS = [
    ["s01r1", "ada@x.org", "p1", "realism", "left", "5120", "2026-01-01T09:00:01.000Z"],
    ["s01r1", "ada@x.org", "p1", "match", "neither", "4096", "2026-01-01T09:00:09.000Z"],
]
PAGE = as_csv(ROWS)
COLUMNS = HEADER.split(",")
KEY = "sheet_id,batch,position,pair_id,kind,caption_id,caption,left,right\n"


def reordered():
    """Other columns first, in capitals, in another order."""
    lines = [["note", *reversed(COLUMNS)], *(['said "so",\nand so', *reversed(row)] for row in ROWS)]
    lines[0] = [name.upper() for name in lines[0]]
    text = io.StringIO()
    csv.writer(text).writerows(lines)
    return text.getvalue().encode()


SAVED = {
    "as the page exports it": PAGE.encode(),
    "line feeds alone": as_csv(ROWS, end="\n").encode(),
    "carriage returns alone": as_csv(ROWS, end="\r").encode(),
    "byte order mark": b"\xef\xbb\xbf" + PAGE.encode(),
    "semicolons": as_csv(ROWS, ";").encode(),
    "tabs": as_csv(ROWS, "\t").encode(),
    "UTF-16 as Excel's Unicode text": as_csv(ROWS, "\t").encode("utf-16"),
    "UTF-16 big-endian": b"\xfe\xff" + PAGE.encode("utf-16-be"),
    "UTF-16 without a mark": PAGE.encode("utf-16-le"),
    "quotes": as_csv([[f'"{cell}"' for cell in row] for row in ROWS]).encode(),
    "apostrophes and spaces": as_csv([[f"'{cell} " for cell in row] for row in ROWS]).encode(),
    "other columns, another order": reordered(),
    "Excel's first line": b"sep=;\r\n" + as_csv(ROWS, ";").encode(),
    "lines of nothing": b"\r\n" + PAGE.encode() + b"\r\n,,,,,,\r\n   \r\n",
    "empty cells behind": (HEADER + ",,\r\n" + "".join(",".join(row) + ",,,,\r\n" for row in ROWS)).encode(),
}


@pytest.mark.parametrize("saved", SAVED)
def test_votes_are_read_the_same_however_they_were_saved(saved, tmp_path):
    (tmp_path / "a.CSV").write_bytes(SAVED[saved])
    (tmp_path / "README.md").write_text("no votes")
    votes = read_votes(tmp_path)
    assert votes[COLUMNS].to_numpy().tolist() == ROWS
    assert (votes["file"] == "a.CSV").all() and (votes["problem"] == "").all()


def test_rows_say_where_they_stood_and_files_come_by_name(tmp_path):
    (tmp_path / "b.csv").write_text(PAGE)
    (tmp_path / "a.csv").write_text("\n" + as_csv(ROWS[:1], end="\n"))
    votes = read_votes(tmp_path)
    assert votes[["file", "row"]].to_numpy().tolist() == [["a.csv", 3], ["b.csv", 2], ["b.csv", 3]]


def test_a_folder_or_a_file_without_votes_has_none(tmp_path):
    assert read_votes(tmp_path).empty
    (tmp_path / "a.csv").write_text(HEADER)
    assert read_votes(tmp_path).empty and list(read_votes(tmp_path)) == ["file", "row", *COLUMNS, "problem"]


def test_rows_of_another_length_are_kept_and_said(tmp_path):
    (tmp_path / "a.csv").write_text(f"{HEADER}\ns01r1,ada,p1\ns01r1,ada,p1,realism,left,1,2,3,4\n")
    votes = read_votes(tmp_path)
    assert votes["problem"].tolist() == ["3 cells under 7 columns", "9 cells under 7 columns"]
    assert votes["question"].tolist() == ["", "realism"]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "a.csv: is empty"),
        (b"\n\n", "a.csv: is empty"),
        (PAGE.replace("choice", "vote").encode(), "a.csv, line 1: column choice is missing .*sheet_id, rater_id.*page exports"),
        (PAGE.replace("choice", "question").encode(), "line 1: column question is there 2 times"),
        (PAGE.encode() + b"s01r1,\xe9va,p1\n", r"a.csv, line 4: not UTF-8 text at byte \d+: .*CSV UTF-8"),
        (b"PK\x03\x04 rest of a workbook", "a.csv: is a workbook of a spreadsheet, not CSV"),
        (PAGE.encode() + b's01r1,"ada,p1\nmore,of,it\n', "a.csv, line 4: not CSV"),
        (PAGE.encode() + b's01r1,"ada,p1\nmore",of,it,x,y,z\n', "a.csv, line 4: a cell goes over several lines"),
        (PAGE.encode() + b"s01r1,a\0a,p1\n", "line 4: holds zero bytes"),
        (PAGE.encode("utf-16")[:-1], "not UTF-16 text"),
    ],
)  # fmt: skip
def test_a_file_that_is_no_votes_is_refused_with_line_rule_and_what_to_do(content, said, tmp_path):
    (tmp_path / "a.csv").write_bytes(content)
    with pytest.raises(ValueError, match=said):
        read_votes(tmp_path)


def test_a_huge_file_is_refused_unread(tmp_path):
    with (tmp_path / "a.csv").open("wb") as file:
        file.truncate(2**26 + 1)
    with pytest.raises(ValueError, match="larger than 64 MB"):
        read_votes(tmp_path)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "no such file; the stage human_eval writes it"),
        ("sheet_id\ns\n", "columns .*'batch'.* are missing"),
        (f"{KEY}s,1,1,p,joke,1,c,dalle,x\n", "kinds .'joke'. are unknown"),
        (f"{KEY}s,x,1,p,pair,1,c,dalle,x\n", "must be whole numbers"),
        (f"{KEY}s,1,1,p,pair,1,c,dalle,x\ns,1,2,p,pair,1,c,dalle,x\n", "p occurs twice"),
    ],
)
def test_a_key_that_is_none_is_refused(content, said, tmp_path):
    if content is not None:
        (tmp_path / "key.csv").write_text(content)
    with pytest.raises(ValueError, match=said):
        read_key(tmp_path / "key.csv")
