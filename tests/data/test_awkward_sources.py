"""Every source given folders as people have them: links, other alphabets and kinds of files, ids of converters."""

import gzip
import json
import os
import re
import tarfile
import unicodedata

import pytest
from small_pairs import encoded, picture, write_tar
from test_coco import write_coco
from test_cub import write_cub

from dalle.data.manifest import check_manifest
from dalle.data.sources.captioned_folder import read_captioned_folder
from dalle.data.sources.coco import read_coco
from dalle.data.sources.cub import read_cub
from dalle.data.sources.division import require_apart
from dalle.data.sources.layouts import find_layout
from dalle.data.sources.problems import Note, without_notes
from dalle.data.sources.webdataset import iterate_webdataset, read_webdataset

JPEG = encoded(picture(0))
LATIN = os.fsdecode(b"caf\xe9")
NFC, NFD = (unicodedata.normalize(form, "café") for form in ("NFC", "NFD"))


def captioned(folder):
    return read_captioned_folder(folder, lambda _: "train")


def pair(folder, name, text=".txt", kind=".jpg"):
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}{kind}").write_bytes(encoded(picture(len(list(folder.iterdir())))))
    (folder / f"{name}{text}").write_text("a plain picture")


# linked folders


def moved(folder, outside):
    """The folder's place taken by a link to where it is now."""
    folder.rename(outside)
    folder.symlink_to(outside)


def test_captioned_pictures_behind_links_are_read(tmp_path):
    for name in "12345678":
        pair(tmp_path / "photos" / "ab"[name > "3"], name)
    before, _ = captioned(tmp_path / "photos")
    moved(tmp_path / "photos/b", tmp_path / "disk2")
    manifest, problems = captioned(tmp_path / "photos")
    assert problems == [] and len(manifest) == 8 and manifest.equals(before)


def test_coco_and_cub_and_shards_behind_links_are_read(tmp_path):
    write_coco(tmp_path / "coco", "val", [(1, JPEG)], [(1, 1, "a dog")])
    moved(tmp_path / "coco/val2014", tmp_path / "disk2")
    (tmp_path / "disk2/stranger.JPEG").write_bytes(JPEG)
    manifest, problems = read_coco(tmp_path / "coco", 2014)
    assert len(manifest) == 1 and len(problems) == 1 and "stranger.JPEG: lies there, but no list names it" in problems[0]
    tables, texts, names = write_cub(tmp_path / "cub")
    moved((texts / "text_c10" / names[0]).parent, tmp_path / "disk3")
    moved((tables / "images" / names[0]).parent, tmp_path / "disk4")
    (tmp_path / "disk3/more").mkdir()
    (tmp_path / "disk3/more/stranger.TXT").write_text("who")
    manifest, problems = read_cub(tmp_path / "cub", "testclasses", "image")
    assert len(manifest) == 12 and len(problems) == 1 and "stranger.TXT: lies there, but no list names it" in problems[0]
    write_tar(tmp_path / "web/part/0.tar", {"a.jpg": JPEG, "a.txt": b"a dog"})
    moved(tmp_path / "web/part", tmp_path / "disk5")
    write_tar(tmp_path / "web/0.TAR", {"a.jpg": JPEG, "a.txt": b"a cat"})
    manifest, problems = read_webdataset(tmp_path / "web")
    assert manifest.pair_id.tolist() == ["0/a", "part/0/a"] and problems == []
    assert [line for _, lines in iterate_webdataset(tmp_path / "web", tmp_path / "kept") for line in lines] == []


def test_pictures_that_links_put_into_training_and_evaluation_are_refused(tmp_path):
    pair(tmp_path / "disk/b", "1")
    for name in ("photos", "judged"):
        pair(tmp_path / name, "2")
        (tmp_path / name / "b").symlink_to("../disk/b")
    with pytest.raises(ValueError, match="prepare_data.coco: .*photos both lead to the pictures in .*disk/b, by links"):
        require_apart(tmp_path / "photos", [("prepare_data.coco", tmp_path / "judged")])


# what is left


def test_files_that_links_folders_and_endings_hid_are_named(tmp_path):
    pair(tmp_path, "1", ".TXT", ".JPG")
    pair(tmp_path, "2", ".json")
    for name in ("3.heic", "4.tiff", "notes.pdf", ".DS_Store"):
        (tmp_path / name).write_bytes(JPEG)
    (tmp_path / "5.jpg").symlink_to("/nowhere/5.jpg")
    (tmp_path / "5.txt").write_text("a dead one")
    manifest, problems = captioned(tmp_path)
    assert manifest.image_id.tolist() == ["1.JPG"] and manifest.pair_id.tolist() == ["1-0"]
    expected = [
        "2.jpg: has no caption: 2.txt is not there",
        "5.txt: lies there, but no picture is called like it",
        "3.heic: a picture of a kind that only a list can name; save it as .jpg",
        "4.tiff: a picture of a kind that only a list can name",
        "5.jpg: a link that leads nowhere",
    ]
    for text in expected:
        assert sum(text in problem for problem in problems) == 1, (text, problems)
    assert len(without_notes(problems)) == len(expected)
    (note,) = [problem for problem in problems if isinstance(problem, Note)]
    kinds = "; ".join(f"not used: {kind} (1)" for kind in (".heic", ".jpg", ".json", ".pdf", ".tiff", ".txt"))
    assert note == f"{tmp_path}: 10 files, of which 2 are used; a link that leads nowhere (1); hidden (1); {kinds}"


def test_a_listed_pipe_is_not_waited_for(tmp_path):
    pair(tmp_path, "1")
    os.mkfifo(tmp_path / "2.jpg")
    (tmp_path / "captions.jsonl").write_text('{"file": "1.jpg", "caption": "a"}\n{"file": "2.jpg", "caption": "b"}')
    manifest, problems = captioned(tmp_path)
    assert len(manifest) == 1 and any("2.jpg: not an image" in problem for problem in problems)


def test_compressed_shards_are_refused_before_anything_is_read(tmp_path):
    shard = write_tar(tmp_path / "0.tar", {"a.jpg": JPEG, "a.txt": b"a dog"})
    for name in ("1.tar.gz", "2.TGZ", "deep/3.tar.zst"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(gzip.compress(shard.read_bytes()))
    words = r"3 of 4 shards \(1.tar.gz, 2.TGZ, 3.tar.zst\): each is a compressed shard, .*: unpack it to a .tar, or take it away"
    with pytest.raises(ValueError, match=words):
        next(iterate_webdataset(tmp_path))
    shard.unlink()
    assert find_layout("web", tmp_path).name == "WebDataset shards"
    with pytest.raises(ValueError, match="3 of 3 shards"):
        read_webdataset(tmp_path)


def test_one_compressed_shard_among_many_is_a_problem(tmp_path):
    for number in range(100):
        write_tar(tmp_path / f"deep/{number:03}.tar", {"a.jpg": JPEG, "a.txt": b"a dog"})
    (tmp_path / "deep/x.tar.gz").write_bytes(b"")
    (tmp_path / "y.tar").symlink_to("nowhere")
    (tmp_path / "000_stats.json").write_text("{}")
    manifest, problems = read_webdataset(tmp_path)
    assert len(manifest) == 100 and find_layout("web", tmp_path).name == "WebDataset shards"
    assert problems == [
        f"{tmp_path}/deep/x.tar.gz: a compressed shard, in which no pair can be found by its place: unpack it to a .tar, or "
        "take it away",
        f"{tmp_path}/y.tar: a link that leads nowhere",
        f"{tmp_path}: 103 files, of which 100 are used; a link that leads nowhere (1); not used: .gz (1); not used: .json (1)",
    ]


def test_shards_that_differ_in_capitals_alone_are_refused(tmp_path):
    """Their pairs would have the same ids."""
    for name in ("0.tar", "0.TAR", "1.tar"):
        write_tar(tmp_path / name, {"a.jpg": JPEG, "a.txt": b"a dog"})
    with pytest.raises(ValueError, match="two shards are called 0.tar, in capitals or not; rename one"):
        read_webdataset(tmp_path)


def test_members_that_are_not_read_are_counted(tmp_path):
    members = {"a.jpg": JPEG, "a.txt": b"a dog", "a.seg.png": JPEG, "a.cls": b"3", "b.png": JPEG, "b.txt": b"b", "b.cls": b"4"}
    write_tar(tmp_path / "0.tar", {**members, "._a.jpg": b"mac", "__MACOSX/a.jpg": b"mac", "sub/.x/c.jpg": JPEG})
    manifest, problems = read_webdataset(tmp_path)
    assert manifest.pair_id.tolist() == ["0/a", "0/b"]
    assert problems == [f"{tmp_path}/0.tar: files that are not read: .cls (2), .seg.png (1), hidden (3)"]
    assert isinstance(problems[0], Note)
    parts = [list(iterate_webdataset(tmp_path, tmp_path / "kept/here")) for _ in range(2)]
    assert [lines for _, lines in parts[1]][0] == problems and isinstance(parts[1][0][1][0], Note), "also the second time"


def test_a_key_with_dots_says_where_a_key_ends(tmp_path):
    write_tar(tmp_path / "0.tar", {"photo.v2.jpg": JPEG, "photo.v2.txt": b"a dog", "b.jpg": JPEG, "b.en.txt": b"a cat"})
    manifest, problems = read_webdataset(tmp_path)
    assert len(manifest) == 0 and len(problems) == 2
    words = "a key ends at the first dot of a file's name: write other dots as _"
    assert "key 'photo': no image (jpg, jpeg, png, webp) among ['v2.jpg', 'v2.txt']; " + words in problems[0]
    assert "key 'b': no caption: neither .txt nor .json; " + words in problems[1]


# names


def test_names_that_are_not_utf8_are_one_problem_and_the_rest_is_read(tmp_path):
    for name in ("one", "two", LATIN, "three"):
        pair(tmp_path / "photos", name)
    manifest, problems = captioned(tmp_path / "photos")
    check_manifest(manifest, "test")
    assert sorted(manifest.image_id) == ["one.jpg", "three.jpg", "two.jpg"]
    words = "its name is not UTF-8, so it must be renamed"
    assert problems == [f"{tmp_path}/photos/caf\\xe9.{kind}: {words}" for kind in ("jpg", "txt")]
    (tmp_path / "web").mkdir()
    with tarfile.open(tmp_path / "web/0.tar", "w", encoding="latin-1", format=tarfile.GNU_FORMAT) as tar:
        for name in ("one", "café", "two"):
            for kind in (".jpg", ".txt"):
                tar.add(tmp_path / f"photos/one{kind}", f"{name}{kind}")
    manifest, problems = read_webdataset(tmp_path / "web")
    assert manifest.pair_id.tolist() == ["0/one", "0/two"]
    assert problems == [f"{tmp_path}/web/0.tar: key 'caf\\xe9': {words}; its pair is skipped"]


def test_a_list_cannot_name_a_file_that_is_not_called_in_utf8(tmp_path):
    pair(tmp_path, "1")
    lines = [{"file": "1.jpg", "caption": "a"}, {"file": f"{LATIN}.jpg", "caption": "b"}]
    (tmp_path / "captions.jsonl").write_text("\n".join(map(json.dumps, lines)))
    manifest, problems = captioned(tmp_path)
    assert len(manifest) == 1 and len(without_notes(problems)) == 1
    assert "line 2: its file 'caf\\xe9.jpg' is not called in UTF-8; skipped" in problems[0]


@pytest.mark.parametrize(("listed", "there"), [(NFC, NFD), (NFD, NFC)])
def test_names_match_however_their_accents_are_spelt(tmp_path, listed, there):
    """As lists made on one system and pictures copied on another have them."""
    pair(tmp_path / "a" / there, there)
    (tmp_path / "a" / there / f"{there}.txt").unlink()
    (tmp_path / "a/captions.jsonl").write_text(json.dumps({"file": f"{listed}/{listed}.jpg", "caption": "a cup"}))
    manifest, problems = captioned(tmp_path / "a")
    assert problems == [] and manifest.image_id.tolist() == [f"{there}/{there}.jpg"]
    pair(tmp_path / "b", there)
    (tmp_path / f"b/{there}.txt").rename(tmp_path / f"b/{listed}.txt")
    manifest, problems = captioned(tmp_path / "b")
    assert problems == [] and manifest.caption.tolist() == ["a plain picture"]
    path = write_coco(tmp_path / "c", "val", [(1, JPEG)], [(1, 1, "a dog")])
    path.write_text(path.read_text().replace("COCO_val2014_000000000001", listed))
    (tmp_path / "c/val2014/COCO_val2014_000000000001.jpg").rename(tmp_path / f"c/val2014/{there}.jpg")
    manifest, problems = read_coco(tmp_path / "c", 2014)
    assert problems == [] and len(manifest) == 1
    tables, texts, names = write_cub(tmp_path / "d")
    name = names[0].replace("Bird", listed)
    (tables / "images.txt").write_text((tables / "images.txt").read_text().replace(names[0], name))
    (tables / "images" / names[0]).rename(tables / "images" / name.replace(listed, there))
    text = (texts / "text_c10" / names[0]).with_suffix(".txt")
    text.rename(text.with_name(text.name.replace("Bird", there)))
    manifest, problems = read_cub(tmp_path / "d", "testclasses", "image")
    assert problems == [] and len(manifest) == 12
    write_tar(tmp_path / "e/0.tar", {f"{listed}.jpg": JPEG, f"{there}.txt": b"a dog"})
    manifest, problems = read_webdataset(tmp_path / "e")
    assert problems == [] and manifest.pair_id.tolist() == [f"0/{listed}"]


# ids of COCO


def coco_with(folder, image_ids, pair_ids, of):
    """Three pictures whose ids were written as three functions say."""
    path = write_coco(folder, "val", [(number, JPEG) for number in (1, 2, 3)], [(number, number, "x") for number in (1, 2, 3)])
    content = json.loads(path.read_text())
    for image in content["images"]:
        image["id"] = image_ids(image["id"])
    for number, annotation in enumerate(content["annotations"], start=1):
        annotation |= {"id": pair_ids(number), "image_id": of(number)}
    path.write_text(json.dumps(content))
    return read_coco(folder, 2014)


@pytest.mark.parametrize("write", [int, float, str, "{:012d}".format, "{}.0".format, " {} ".format])
@pytest.mark.parametrize("of", [int, float, str])
def test_ids_are_whole_numbers_however_they_are_written(tmp_path, write, of):
    manifest, problems = coco_with(tmp_path, write, of, write)
    assert problems == [] and manifest.pair_id.tolist() == manifest.image_id.tolist() == ["1", "2", "3"]


ODD_IDS = [[1], {"a": 1}, None, True, "one", "1.5", 1.5, float("nan"), float("inf"), 1e300, "9" * 5000, ""]


@pytest.mark.parametrize("odd", ODD_IDS)
def test_ids_that_are_no_numbers_are_named_for_what_they_are(tmp_path, odd):
    def first(number):
        return odd if number == 1 else number

    shown = re.escape(ascii(odd)[:100])
    for place, functions in enumerate([(int, int, first), (int, first, int), (first, int, int)]):
        manifest, problems = coco_with(tmp_path / str(place), *functions)
        assert manifest.pair_id.tolist() == ["2", "3"]
        words = ["annotation 1: its image_id", "an annotation whose id", "an image whose id"][place]
        assert re.search(f"{words} {shown}.* is no whole number", problems[0]), problems
