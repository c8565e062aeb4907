import hashlib
import io
import json
import tarfile

import pytest
from PIL import Image

from dalle.miniworld.corpora import read_truth
from dalle.miniworld.junk import KINDS


@pytest.fixture(scope="session")
def truth(world):
    return read_truth("web", world / "web").set_index("pair_id")


def test_shards_hold_jpg_txt_json_of_every_key_in_turn(web_members, config):
    names = list(web_members)
    assert len(names) == 3 * config.web_pairs
    assert names[:3] == ["00000/000000000.jpg", "00000/000000000.txt", "00000/000000000.json"]
    assert [name.rsplit(".", 1)[0] for name in names[::3]] == [f"00000/{key:09d}" for key in range(config.web_pairs)]


def test_tar_headers_carry_no_time_and_no_owner(world):
    with tarfile.open(world / "web/00000.tar") as tar:
        assert {(member.mtime, member.uid, member.gid, member.uname) for member in tar} == {(0, 0, 0, "")}


def test_metadata_agrees_with_picture_and_caption(web_members, truth):
    for pair_id, row in truth.iterrows():
        metadata = json.loads(web_members[f"{pair_id}.json"])
        content = web_members[f"{pair_id}.jpg"]
        assert metadata["caption"] == web_members[f"{pair_id}.txt"].decode()
        assert metadata["sha256"] == hashlib.sha256(content).hexdigest()
        assert {"url", "key", "status", "error_message", "original_width", "original_height", "exif"} <= set(metadata)
        if row.junk != "undecodable":
            assert Image.open(io.BytesIO(content)).size == (metadata["width"], metadata["height"])


def test_each_kind_of_junk_is_two_percent_and_pairs_are_as_many_as_asked(truth, config):
    counts = truth.junk.value_counts()
    assert {kind: counts[kind] for kind in KINDS} == {kind: round(0.02 * config.web_pairs) for kind in KINDS}
    assert set(truth.junk) == {"", *KINDS} and len(truth) == config.web_pairs
    assert truth.kind.value_counts(normalize=True)["scene"] > 0.65


def test_junk_is_what_it_is_called_and_nothing_else_is(truth, web_members):
    for pair_id, junk in truth.junk.items():
        content, caption = web_members[f"{pair_id}.jpg"], web_members[f"{pair_id}.txt"].decode()
        if junk == "undecodable":
            with pytest.raises(OSError):
                Image.open(io.BytesIO(content)).load()
            continue
        image = Image.open(io.BytesIO(content))
        image.load()
        assert (0.5 <= image.width / image.height <= 2) == (junk != "aspect_ratio")
        if junk not in ("boilerplate", "not_english"):  # Chinese has no spaces
            assert (len(caption.split()) <= 2) == (junk == "too_short")


def test_duplicates_repeat_an_earlier_clean_pair(truth, web_members):
    captions = {pair_id: web_members[f"{pair_id}.txt"] for pair_id in truth.index}
    for pair_id, row in truth[truth.junk == "duplicate"].iterrows():
        same = truth[(truth.attributes == row.attributes) & (truth.junk == "")]
        assert len(same) == 1 and same.index[0] < pair_id
        assert captions[same.index[0]] == captions[pair_id]


def test_panels_layout(world, config):
    lines = [json.loads(line) for line in (world / "panels/captions.jsonl").read_text().splitlines()]
    assert [line["file"] for line in lines] == [f"images/{index:04d}.jpg" for index in range(config.panels)]
    for line in lines:
        width, height = Image.open(world / "panels" / line["file"]).size
        assert width == height and width % 2 == 0 and len(line["caption"].split()) >= 5


def test_coco_layout(world, config):
    seen = set()
    for split, count in (("train", config.coco_train_images), ("val", config.coco_val_images)):
        document = json.loads((world / f"coco/annotations/captions_{split}2014.json").read_text())
        assert set(document) == {"info", "images", "licenses", "annotations"}
        assert len(document["images"]) == count
        ids = [annotation["image_id"] for annotation in document["annotations"]]
        assert sorted(ids) == sorted(5 * [image["id"] for image in document["images"]])
        for image in document["images"]:
            assert image["file_name"] == f"COCO_{split}2014_{image['id']:012d}.jpg"
            assert Image.open(world / f"coco/{split}2014" / image["file_name"]).size == (image["width"], image["height"])
        numbers = {annotation["id"] for annotation in document["annotations"]}
        assert len(numbers) == len(ids) and not numbers & seen
        seen |= numbers


def read_lines(path):
    return [line.split() for line in path.read_text().splitlines()]


def test_cub_layout(world, config):
    cub = world / "cub"
    images, classes = dict(read_lines(cub / "images.txt")), dict(read_lines(cub / "classes.txt"))
    labels, boxes = dict(read_lines(cub / "image_class_labels.txt")), read_lines(cub / "bounding_boxes.txt")
    assert list(images) == [str(number + 1) for number in range(config.cub_species * config.cub_images_per_species)]
    assert len(classes) == config.cub_species
    assert {flag for _, flag in read_lines(cub / "train_test_split.txt")} == {"0", "1"}
    for image_id, x, y, width, height in boxes:
        picture = Image.open(cub / "images" / images[image_id])
        assert images[image_id].startswith(classes[labels[image_id]] + "/")
        assert 0 <= float(x) < float(x) + float(width) <= picture.width
        assert 0 <= float(y) < float(y) + float(height) <= picture.height
        captions = (cub / "text_c10" / images[image_id].replace(".jpg", ".txt")).read_text().splitlines()
        assert len(captions) == len(set(captions)) == 10
    train, test = ((cub / f"{name}classes.txt").read_text().split() for name in ("trainval", "test"))
    assert sorted(train + test) == sorted(classes.values()) and len(test) == round(0.25 * config.cub_species)


def test_species_differ_and_those_held_out_are_not_on_the_web_but_for_leaks(world, truth):
    cub = read_truth("cub", world / "cub")
    names = cub.attributes.map(lambda text: json.loads(text)["name"])
    looks = cub.attributes.map(lambda text: tuple(value for key, value in json.loads(text).items() if key != "name"))
    assert names.nunique() == looks.nunique() == 8
    tested = {name.split(".", 1)[1] for name in (world / "cub/testclasses.txt").read_text().split()}
    birds = truth[(truth.kind == "bird") & (truth.leak_of == "")].attributes.map(lambda text: json.loads(text)["name"])
    assert len(birds) and not tested & set(birds)
