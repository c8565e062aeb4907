"""Every source that reads files, given every kind of picture: one function writes a corpus with it in the source's layout."""

import json

import pytest
from bad_pictures import CUT_SHORT, ODD, UNREADABLE
from small_pairs import encoded, picture
from test_coco import write_coco
from test_cub import write_cub

from dalle.data.images import load_image
from dalle.data.manifest import check_manifest
from dalle.data.sources.captioned_folder import read_captioned_folder
from dalle.data.sources.coco import read_coco
from dalle.data.sources.cub import read_cub
from dalle.data.sources.decodable import without_undecodable

GOOD, LONG = encoded(picture(0)), " ".join(["word"] * 4000) + " end"


def of_coco(folder, data, captions, year=2014):
    annotations = [(number, 2, caption) for number, caption in enumerate(captions, start=20)]
    write_coco(folder, "val", [(1, GOOD), (2, data)], [(1, 1, "a good one"), *annotations], year)
    return read_coco(folder, year)


def of_cub(folder, data, captions):
    tables, texts, names = write_cub(folder)
    (tables / "images" / names[1]).write_bytes(data)
    (texts / "text_c10" / names[1]).with_suffix(".txt").write_text("".join(f"{caption}\n" for caption in captions))
    return read_cub(folder, "testclasses", "image")


def of_jsonl(folder, data, captions):
    lines = [{"file": "a.jpg", "caption": "a good one"}, *({"file": "b.jpg", "caption": caption} for caption in captions)]
    return of_list(folder, data, "captions.jsonl", "\n".join(map(json.dumps, lines)))


def of_csv(folder, data, captions):
    rows = "".join(f'b.jpg,"{caption}"\r\n' for caption in captions)
    return of_list(folder, data, "captions.csv", f"file,caption\r\na.jpg,a good one\r\n{rows}")


def of_list(folder, data, name, text):
    (folder / "a.jpg").write_bytes(GOOD)
    (folder / "b.jpg").write_bytes(data)
    (folder / name).write_text(text)
    return read_captioned_folder(folder, lambda _: "test")


def of_text_files(folder, data, captions):
    (folder / "a.txt").write_text("a good one")
    return of_list(folder, data, "b.txt", "\r\n".join(captions) + "\n\n")


SOURCES = [of_coco, lambda *given: of_coco(*given, year=2017), of_cub, of_jsonl, of_csv, of_text_files]
every_source = pytest.mark.parametrize("read", SOURCES, ids=["coco", "coco2017", "cub", "jsonl", "csv", "txt"])


@every_source
@pytest.mark.parametrize("kind", ODD)
def test_odd_pictures_are_shown_as_they_are_meant(tmp_path, read, kind):
    data, size = ODD[kind]
    manifest, problems = read(tmp_path, data, ["an odd one"])
    assert problems == []
    check_manifest(manifest, "test")
    (row,) = manifest[manifest["caption"] == "an odd one"].itertuples()
    assert (row.width, row.height) == size and load_image(row.file, row.offset, row.num_bytes).shape == (*size[::-1], 3)
    assert without_undecodable(manifest, manifest["split"] != "none")[1] == []


@every_source
@pytest.mark.parametrize("kind", UNREADABLE)
def test_what_is_no_picture_is_named_and_the_rest_is_read(tmp_path, read, kind):
    data, words = UNREADABLE[kind]
    manifest, problems = read(tmp_path, data, ["a broken one"])
    assert len(problems) == 1 and words in problems[0] and str(tmp_path) in problems[0]
    assert "a broken one" not in set(manifest["caption"]) and len(manifest)


@every_source
@pytest.mark.parametrize("kind", CUT_SHORT)
def test_what_is_cut_short_is_named_before_it_is_evaluated(tmp_path, read, kind):
    """Headers are whole; only decoding tells, which is done once for what nobody filters later."""
    manifest, problems = read(tmp_path, CUT_SHORT[kind], ["a cut one", "a cut one too"])
    assert problems == []
    broken = manifest[manifest["caption"] == "a cut one"].iloc[0]
    kept, problems = without_undecodable(manifest, manifest["split"] != "none")
    assert len(problems) == 1 and broken["file"] in problems[0] and "cannot be decoded" in problems[0]
    assert len(kept) == len(manifest) - 2 and broken["image_id"] not in set(kept["image_id"])
    # what is trained on is left to the filters
    kept, problems = without_undecodable(manifest, manifest["split"] == "none")
    assert kept.equals(manifest) and problems == []


@every_source
def test_captions_of_any_number_and_length(tmp_path, read):
    captions = [f"caption number {number}" for number in range(5)] + [LONG]
    manifest, problems = read(tmp_path, encoded(picture(7)), captions)
    assert problems == [] and len(LONG) > 20_000
    found = manifest[manifest["caption"].isin(captions)]
    assert found["caption"].tolist() == captions and found["image_id"].nunique() == 1 and found["pair_id"].is_unique
