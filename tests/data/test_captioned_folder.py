"""Anyone's own pictures: a folder with captions.jsonl."""

import json
import re

import pytest
from PIL import Image

from dalle.data.image_files import load_image
from dalle.data.sources.captioned_folder import read_captioned_folder

PROMPTS = ("the exact same cat on the top as a sketch on the bottom", "the exact same cat on the top colored red on the bottom")


@pytest.fixture
def folder(tmp_path):
    """Two cats, the first under two captions."""
    (tmp_path / "more").mkdir()
    Image.new("RGB", (40, 30), "grey").save(tmp_path / "cat.png")
    Image.new("RGB", (20, 20), "black").save(tmp_path / "more/cat 2.jpg")
    (tmp_path / "unlisted.png").write_bytes(b"no picture, and nobody's business")
    lines = [("cat.png", PROMPTS[0]), ("cat.png", f"  {PROMPTS[1]}\n"), ("more/cat 2.jpg", PROMPTS[0])]
    text = "".join(json.dumps({"file": file, "caption": caption, "by": "me"}) + "\n" for file, caption in lines)
    (tmp_path / "captions.jsonl").write_text("\n" + text)
    return tmp_path


def test_a_line_is_a_pair_and_a_file_an_image(folder):
    manifest, problems = read_captioned_folder(folder)
    assert problems == []
    assert manifest.pair_id.tolist() == ["2", "3", "4"], "lines count from 1, empty ones too"
    assert manifest.image_id.tolist() == ["cat.png", "cat.png", "more/cat 2.jpg"]
    assert manifest.caption.tolist() == [PROMPTS[0], PROMPTS[1], PROMPTS[0]]
    assert set(manifest.split) == {"test"} and manifest.width.tolist() == [40, 40, 20]
    place = manifest.iloc[0]
    assert load_image(place.file, int(place.offset), int(place.num_bytes)).shape == (30, 40, 3)


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
        ('{"file": "unlisted.png", "caption": "a dog"}', "line 6: .*unlisted.png: not an image"),
    ],
)
def test_a_line_that_cannot_be_used_is_named(folder, line, words):
    with open(folder / "captions.jsonl", "a") as file:
        file.write(f"\n{line}\n")
    manifest, problems = read_captioned_folder(folder)
    assert len(manifest) == 3 and len(problems) == 1
    assert re.search(words, problems[0]), problems[0]
    assert str(folder / "captions.jsonl") in problems[0]


def test_bytes_that_are_no_text_are_a_problem_of_their_line(folder):
    with open(folder / "captions.jsonl", "ab") as file:
        file.write(b'{"file": "cat.png", "caption": "caf\xe9"}\n')
    manifest, problems = read_captioned_folder(folder)
    assert len(manifest) == 3 and "line 5: not JSON" in problems[0]


def test_a_folder_without_the_list_shows_what_is_expected(tmp_path):
    with pytest.raises(ValueError, match=r'no captions.jsonl; expected\n(.*\n)*.*"file": "cat.jpg"'):
        read_captioned_folder(tmp_path)
