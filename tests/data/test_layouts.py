"""Which layout a folder has, told by what lies in it; and what the pipeline makes of a folder of one's own."""

import pytest
from small_pairs import encoded, picture, write_tar
from test_coco import write_coco
from test_cub import write_cub

from dalle.data.manifest import manifest_from_rows
from dalle.data.sources.division import as_corpus, divided, require_apart
from dalle.data.sources.layouts import LAYOUTS, find_layout
from dalle.data.sources.options import SourceOptions
from dalle.data.sources.originals import COCO, CUB, compared, compared_classes, original_sizes
from dalle.data.splits import assign_split

PICTURE = encoded(picture(0))


def put(folder, *names):
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(PICTURE if name.endswith(".jpg") else b"a caption")


WRITERS = {
    "WebDataset shards": lambda folder: write_tar(folder / "00000.tar", {"a.jpg": PICTURE, "a.txt": b"a caption"}),
    "MS-COCO": lambda folder: write_coco(folder, "val", [(1, PICTURE)], [(1, 1, "a caption")], 2017),
    "CUB-200-2011": write_cub,
    "captioned folder": lambda folder: put(folder, "00000/1.jpg", "00000/1.txt", "00000/1.json"),
}


@pytest.mark.parametrize(("corpus", "layout"), [(corpus, layout.name) for corpus in LAYOUTS for layout in LAYOUTS[corpus]])
def test_a_layout_is_recognised_by_what_lies_there(tmp_path, corpus, layout):
    WRITERS[layout](tmp_path)
    assert find_layout(corpus, tmp_path).name == layout


@pytest.mark.parametrize("name", ["captions.jsonl", "captions.csv"])
def test_a_list_makes_a_captioned_folder_of_any_corpus(tmp_path, name):
    put(tmp_path, name)
    assert {find_layout(corpus, tmp_path).name for corpus in LAYOUTS} == {"captioned folder"}


@pytest.mark.parametrize("corpus", LAYOUTS)
def test_no_layout_shows_all_that_there_could_be(tmp_path, corpus):
    put(tmp_path, "README.txt", "pictures/1.jpg")
    with pytest.raises(ValueError, match=f"{tmp_path}: has n") as raised:
        find_layout(corpus, tmp_path)
    for layout in LAYOUTS[corpus]:
        assert layout.sign in str(raised.value)
        assert all(tree.format(folder=tmp_path) in str(raised.value) for tree in layout.trees)
    with pytest.raises(ValueError, match="none: no such folder; expected\n"):
        find_layout(corpus, tmp_path / "none")


def test_two_layouts_at_once_are_refused(tmp_path):
    WRITERS["WebDataset shards"](tmp_path)
    put(tmp_path, "captions.jsonl")
    words = r"is laid out as WebDataset shards \(\*.tar\) and captioned folder \(.*\) at once, of which one must go; expected\n"
    with pytest.raises(ValueError, match=words):
        find_layout("web", tmp_path)


def rows_of(splits):
    shared = {"caption": "c", "file": "f", "offset": 0, "num_bytes": 1, "width": 1, "height": 1, "crc32": 0}
    rows = enumerate(splits.items())
    return manifest_from_rows({"pair_id": str(n), "image_id": name, "split": split, **shared} for n, (name, split) in rows)


@pytest.mark.parametrize(
    ("corpus", "expected"),
    [
        ("web", {"a": "train", "d": "train"}),
        ("coco", {"a": "train", "b": "val", "c": "val", "d": "train"}),
        ("cub", {"a": "train", "b": "test", "c": "test", "d": "train"}),
        ("panels", {"b": "test", "c": "test"}),
    ],
)
def test_a_folder_s_splits_as_what_it_stands_for(corpus, expected):
    found = as_corpus(rows_of({"a": "train", "b": "val", "c": "test", "d": "train"}), corpus)
    assert dict(zip(found.image_id, found.split, strict=True)) == expected and found.index.tolist() == list(range(len(found)))


def test_a_divided_folder_is_evaluated_in_part_and_held_out_by_another_draw():
    """Were both draws one, no image held out of training would be left among those that are trained on."""
    ids = [f"{number}.jpg" for number in range(4000)]
    split_of = divided(0.1, seed=0)
    evaluated = {name for name in ids if split_of(name) == "test"}
    assert len(evaluated) == pytest.approx(400, abs=60) and {split_of(name) for name in ids} == {"train", "test"}
    trained = [name for name in ids if name not in evaluated]
    assert (assign_split(trained, 0.05, 0) == "valid").mean() == pytest.approx(0.05, abs=0.015)
    assert evaluated == {name for name in reversed(ids) if divided(0.1, 0)(name) == "test"} != {
        name for name in ids if divided(0.1, 1)(name) == "test"
    }


def test_folders_within_each_other_are_refused(tmp_path):
    photos = tmp_path / "photos"
    (photos / "test").mkdir(parents=True)
    (tmp_path / "link").symlink_to(photos)
    require_apart(photos, [("prepare_data.coco", tmp_path / "link"), ("prepare_data.cub", tmp_path / "photos2")])
    for training, evaluated in ((photos, photos / "test"), (photos / "test", tmp_path / "link"), (photos, tmp_path / "link/test")):
        with pytest.raises(ValueError, match="prepare_data.coco: .* one lies within the other"):
            require_apart(training, [("prepare_data.coco", evaluated)])


def test_a_part_of_a_corpus_is_told_from_the_whole(tmp_path):
    options = SourceOptions(coco_year=2017, cub_split="train_test_split", cub_crop="image", folder_evaluated=0.1)
    assert original_sizes("coco", options) is COCO[2017] and original_sizes("cub", options) is CUB["train_test_split"]
    manifest = rows_of({"a": "train", "b": "val"})
    lines = list(compared(manifest, COCO[2017]))
    assert len(lines) == 2 and lines[1].startswith("WARNING: val has 1 images and 1 captions, the original 5,000 and 25,014")
    whole = {"train": (1, 1), "val": (1, 1)}
    assert list(compared(manifest, whole))[0] == "train has all 1 images and 1 captions of the original"
    classes = list(compared_classes(manifest.assign(file="images/001.Bird/a.jpg"), "testclasses"))
    assert classes == ["WARNING: train has 1 classes, the original 150", "WARNING: test has 0 classes, the original 50"]
    assert list(compared_classes(manifest, "train_test_split")) == []


@pytest.mark.parametrize("sizes", [*COCO.values(), *CUB.values()])
def test_the_originals_have_five_captions_an_image_and_a_few_more_or_ten(sizes):
    for size in sizes.values():
        assert 5 <= size.captions / size.images < 5.01 or size.captions == 10 * size.images
    assert CUB["testclasses"]["train"].images + CUB["testclasses"]["test"].images == 11_788
    assert sum(size.images for size in CUB["train_test_split"].values()) == 11_788
    assert sum(size.images for size in COCO[2014].values()) == sum(size.images for size in COCO[2017].values()) == 123_287
