import json

import pytest
from small_pairs import encoded, picture

from dalle.data.images import load_image
from dalle.data.manifest import check_manifest
from dalle.data.sources.coco import read_coco
from dalle.data.sources.problems import without_notes


def write_coco(folder, split, images, annotations, year=2014):
    """`images`: (id, bytes or None for a missing file); `annotations`: (id, image id, caption)."""
    pictures = folder / f"{split}{year}"
    pictures.mkdir(parents=True)
    entries = []
    for image_id, data in images:
        name = f"{image_id:012d}.jpg" if year == 2017 else f"COCO_{split}{year}_{image_id:012d}.jpg"
        entries.append({"id": image_id, "file_name": name, "width": 1, "height": 1, "license": 3, "flickr_url": ""})
        if data is not None:
            (pictures / name).write_bytes(data)
    captions = [{"id": pair_id, "image_id": image_id, "caption": caption} for pair_id, image_id, caption in annotations]
    content = {"info": {}, "licenses": [], "images": entries, "annotations": captions}
    (folder / "annotations").mkdir(exist_ok=True)
    path = folder / "annotations" / f"captions_{split}{year}.json"
    path.write_text(json.dumps(content))
    return path


def test_both_splits_become_one_manifest(tmp_path):
    grey = encoded(picture(1, 21, 17).convert("L"))
    captions = [(3, 9, " A  dog.\n"), (1, 42, "A cat"), (2, 9, "Another\r\ndog ")]
    write_coco(tmp_path, "val", [(42, encoded(picture(0))), (9, grey)], captions)
    write_coco(tmp_path, "train", [(5, encoded(picture(2)))], [(7, 5, "A bird"), (8, 5, "A bird")])
    manifest, problems = read_coco(tmp_path, 2014)
    assert problems == []
    check_manifest(manifest, "test")
    rows = list(zip(manifest.pair_id, manifest.image_id, manifest.caption, manifest.split, strict=True))
    assert rows == [
        ("7", "5", "A bird", "train"),
        ("8", "5", "A bird", "train"),
        ("2", "9", "Another dog", "val"),
        ("3", "9", "A dog.", "val"),
        ("1", "42", "A cat", "val"),
    ]
    assert (manifest.width[2], manifest.height[2], manifest.offset[2], manifest.num_bytes[2]) == (21, 17, 0, len(grey))
    assert load_image(manifest.file[2], 0, manifest.num_bytes[2]).shape == (17, 21, 3)


def test_one_split_of_2017_and_pictures_under_images(tmp_path):
    write_coco(tmp_path, "val", [(1, encoded(picture(0)))], [(1, 1, "x")], year=2017)
    (tmp_path / "images").mkdir()
    (tmp_path / "val2017").rename(tmp_path / "images" / "val2017")
    manifest, problems = read_coco(tmp_path, 2017)
    assert len(manifest) == 1 and problems == []
    with pytest.raises(ValueError, match=r"of 2014 \(captions_val2017.json there: another coco_year\?\)(.|\n)*COCO_train2014_"):
        read_coco(tmp_path, 2014)


def test_every_broken_join_is_a_problem_and_the_rest_is_read(tmp_path):
    good = encoded(picture(0))
    path = write_coco(
        tmp_path,
        "train",
        [(1, good), (2, None), (3, b"<html>"), (4, good), (1, good)],
        [(10, 1, "fine"), (11, 2, "missing file"), (12, 3, "no image"), (13, 99, "unknown")]
        + [(10, 1, "twice"), (14, 1, " \n"), (15, 1, None)],
    )
    content = json.loads(path.read_text())
    content["images"].append({"id": 6, "file_name": "../../secret.jpg"})
    content["images"].append("text")
    path.write_text(json.dumps(content))
    (tmp_path / "train2014" / "stranger.jpg").write_bytes(good)
    (tmp_path / "train2014" / "._hidden.jpg").write_bytes(b"")
    write_coco(tmp_path, "val", [(1, good), (7, good)], [(20, 1, "also in train"), (10, 7, "id of train"), (21, 7, "fine")])
    manifest, problems = read_coco(tmp_path, 2014)
    check_manifest(manifest, "test")
    assert manifest.pair_id.tolist() == ["10", "21"]
    expected = [
        "000002.jpg: listed, but cannot be opened",
        "000003.jpg: not an image",
        "image 4 (COCO_train2014_000000000004.jpg) has no caption",
        "image 1 or its file COCO_train2014_000000000001.jpg is listed twice",
        "annotation 13: there is no image 99",
        "annotation 10 is listed twice",
        "annotation 14: no caption that can be seen",
        "annotation 15: no caption that can be seen",
        "'../../secret.jpg' leads out of the folder",
        "an image whose id None is no whole number: {'': 'text'}",
        "stranger.jpg: lies there",
        "annotation 20 or its image is in both splits",
        "annotation 10 or its image is in both splits",
    ]
    problems = without_notes(problems)
    for text in expected:
        assert sum(text in problem for problem in problems) == 1, (text, problems)
    assert len(problems) == len(expected)


def test_wrong_folders_and_files_say_what_was_expected(tmp_path):
    tree = "\n(.|\n)*captions_train2014.json(.|\n)*val2014/"
    with pytest.raises(ValueError, match=f"{tmp_path}: no MS-COCO captions of 2014; expected{tree}"):
        read_coco(tmp_path, 2014)
    path = write_coco(tmp_path, "val", [], [])
    (tmp_path / "val2014").rmdir()
    with pytest.raises(ValueError, match="its pictures are not"):
        read_coco(tmp_path, 2014)
    (tmp_path / "val2014").mkdir()
    path.write_text("{")
    with pytest.raises(ValueError, match="captions_val2014.json: not JSON"):
        read_coco(tmp_path, 2014)
    path.write_text('{"images": []}')
    with pytest.raises(ValueError, match="captions_val2014.json: has no list 'annotations'"):
        read_coco(tmp_path, 2014)
