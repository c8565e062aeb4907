import pickle
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from small_pairs import encoded, picture

from dalle.data.images import load_image
from dalle.data.manifest import check_manifest, places
from dalle.data.sources.cub import read_cub
from dalle.miniworld.cub import cub_items
from dalle.miniworld.cub import write_cub as write_miniature
from dalle.miniworld.variety import RICH

CLASSES = ["001.Black_footed_Albatross", "002.Laysan_Albatross", "003.Sooty_Albatross"]


def write_cub(folder, tables="CUB_200_2011", texts="cvpr2016_cub"):
    """Three species with two images each; the last species is the test split."""
    tables, texts = folder / tables, folder / texts
    names = [f"{name}/Bird_{index}.v{index}.jpg" for index, name in enumerate(name for name in CLASSES for _ in range(2))]
    for index, name in enumerate(names):
        (tables / "images" / name).parent.mkdir(parents=True, exist_ok=True)
        (tables / "images" / name).write_bytes(encoded(picture(index)))
        text = (texts / "text_c10" / name).with_suffix(".txt")
        text.parent.mkdir(parents=True, exist_ok=True)
        text.write_text(f"a bird number {index} .\nit has  wings\n")
    (tables / "images.txt").write_text("".join(f"{index} {name}\n" for index, name in enumerate(names, start=1)))
    (tables / "classes.txt").write_text("".join(f"{index} {name}\n" for index, name in enumerate(CLASSES, start=1)))
    (texts / "testclasses.txt").write_text(CLASSES[2] + "\r\n")
    (tables / "train_test_split.txt").write_bytes(b"".join(b"%d %d\r\n" % (number, number % 2) for number in range(1, 7)))
    return tables, texts, names


@pytest.mark.parametrize("places", [("CUB_200_2011", "cvpr2016_cub"), (".", "."), ("CUB_200_2011", ".")])
def test_the_split_is_by_class_and_pairs_are_lines(tmp_path, places):
    write_cub(tmp_path, *places)
    manifest, problems = read_cub(tmp_path, "testclasses", "image")
    assert problems == []
    check_manifest(manifest, "test")
    assert manifest.pair_id.tolist() == [f"{image}-{line}" for image in range(1, 7) for line in range(2)]
    assert manifest.split.tolist() == ["train"] * 8 + ["test"] * 4
    assert manifest.caption.tolist()[:2] == ["a bird number 0 .", "it has wings"]
    assert manifest.image_id.tolist()[-1] == "6" and (manifest.width == 48).all()


def test_blank_lines_count(tmp_path):
    _, texts, names = write_cub(tmp_path)
    path = (texts / "text_c10" / names[0]).with_suffix(".txt")
    path.write_bytes(b"\xef\xbb\xbffirst\r\n\r\n  \nthe bird\x0b's beak\rlast")
    manifest, problems = read_cub(tmp_path, "testclasses", "image")
    assert problems == []
    captions = dict(zip(manifest.pair_id, manifest.caption, strict=True))
    assert {key: value for key, value in captions.items() if key.startswith("1-")} == {
        "1-0": "first",
        "1-3": "the bird 's beak",
        "1-4": "last",
    }


def test_every_broken_join_is_a_problem_and_the_rest_is_read(tmp_path):
    tables, texts, names = write_cub(tmp_path)
    (tables / "images" / names[0]).unlink()
    (tables / "images" / names[1]).write_bytes(b"not an image")
    (texts / "text_c10" / names[2]).with_suffix(".txt").unlink()
    (texts / "text_c10" / names[3]).with_suffix(".txt").write_text("\n \n")
    (texts / "text_c10" / CLASSES[0] / "Stranger.txt").write_text("who is it")
    (tables / "images" / CLASSES[0] / "Stranger.jpg").write_bytes(encoded(picture(0)))
    with open(tables / "images.txt", "a") as file:
        file.write(f"6 {CLASSES[0]}/Other.jpg\n7 {names[5]}\nalone\n8 ../../secret.jpg\n9 009.Unknown/a.jpg\n\n")
    manifest, problems = read_cub(tmp_path, "testclasses", "image")
    assert manifest.image_id.unique().tolist() == ["5", "6"]
    expected = [
        "Bird_0.v0.jpg: listed, but cannot be opened",
        "Bird_1.v1.jpg: not an image",
        "Bird_2.v2.txt: no captions for this image",
        "Bird_3.v3.txt: holds no caption",
        "Stranger.txt: lies there",
        "Stranger.jpg: lies there",
        "line 7: not an id and a name, each new",
        "line 8: not an id and a name, each new",
        "line 9: not an id and a name, each new",
        "image 8: '../../secret.jpg' is not",
        "image 9: '009.Unknown/a.jpg' is not",
    ]
    for text in expected:
        assert sum(text in problem for problem in problems) == 1, (text, problems)
    assert len(problems) == len(expected)


def test_wrong_folders_say_what_was_expected(tmp_path):
    with pytest.raises(ValueError, match=f"{tmp_path}/none: not CUB-200-2011(.|\n)*text_c10(.|\n)*testclasses.txt"):
        read_cub(tmp_path / "none", "testclasses", "image")
    _, texts, _ = write_cub(tmp_path)
    (texts / "testclasses.txt").write_text("\n")
    with pytest.raises(ValueError, match="testclasses.txt: names none of the 3 classes"):
        read_cub(tmp_path, "testclasses", "image")
    (texts / "testclasses.txt").unlink()
    words = r"no testclasses.txt, which cub_split testclasses reads \(those of cub_split train_test_split are there\); expected\n"
    with pytest.raises(ValueError, match=words):
        read_cub(tmp_path, "testclasses", "image")
    (texts / "text_c10").rename(texts / "elsewhere")
    with pytest.raises(ValueError, match=r"no captions \(cvpr2016_cub/text_c10, text_c10, text\); expected\n"):
        read_cub(tmp_path, "testclasses", "image")


def split_of_images(manifest):
    return dict(zip(manifest.image_id, manifest.split, strict=True))


def write_attngan(folder, names, protocol=2):
    """AttnGAN's metadata beside CUB: names in pickles, captions in text/."""
    keys = [name.removesuffix(".jpg") for name in names]
    for split, part in (("train", keys[:4]), ("test", keys[4:])):
        (folder / split).mkdir()
        (folder / split / "filenames.pickle").write_bytes(pickle.dumps(part, protocol))
    (folder / "cvpr2016_cub/text_c10").rename(folder / "text")
    (folder / "cvpr2016_cub/testclasses.txt").unlink()


def test_the_original_split_is_by_image(tmp_path):
    write_cub(tmp_path)
    manifest, problems = read_cub(tmp_path, "train_test_split", "image")
    assert problems == []
    expected = {str(number): "train" if number % 2 else "test" for number in range(1, 7)}
    assert split_of_images(manifest) == expected


def test_the_original_split_must_name_every_image_once(tmp_path):
    tables, _, names = write_cub(tmp_path)
    (tables / "train_test_split.txt").write_text("1 1\n2 0\n2 1\n3 yes\n5\n77 1\n\n4 0\n6 1\n")
    manifest, problems = read_cub(tmp_path, "train_test_split", "image")
    assert split_of_images(manifest) == {"1": "train", "2": "test", "4": "test", "6": "train"}
    expected = ["line 3: ", "line 4: ", "line 5: ", "line 6: ", f"no line for image 3 ({names[2]})", "no line for image 5"]
    for text in expected:
        assert sum(text in problem for problem in problems) == 1, (text, problems)
    assert len(problems) == len(expected)
    (tables / "train_test_split.txt").write_text("".join(f"{number} 1\n" for number in range(1, 7)))
    with pytest.raises(ValueError, match="cub_split train_test_split gives the test split none of 6 images"):
        read_cub(tmp_path, "train_test_split", "image")


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_attngan_s_lists_give_the_split_of_the_classes(tmp_path, protocol):
    _, _, names = write_cub(tmp_path)
    by_class, _ = read_cub(tmp_path, "testclasses", "image")
    write_attngan(tmp_path, names, protocol)
    manifest, problems = read_cub(tmp_path, "filenames", "image")
    assert problems == [] and manifest.drop(columns="file").equals(by_class.drop(columns="file"))


def test_lists_must_name_the_images_that_there_are_once(tmp_path):
    _, _, names = write_cub(tmp_path)
    write_attngan(tmp_path, names)
    keys = [name.removesuffix(".jpg") for name in names]
    (tmp_path / "test/filenames.pickle").write_bytes(pickle.dumps([keys[4], keys[0], f"{CLASSES[0]}/Bird_9"], 2))
    manifest, problems = read_cub(tmp_path, "filenames", "image")
    assert split_of_images(manifest) == {"1": "train", "2": "train", "3": "train", "4": "train", "5": "test"}
    expected = ["Albatross/Bird_9' is not an image", f"{keys[0]!r} is listed twice; it stays in train"]
    expected.append(f"no filenames.pickle names {names[5]}")
    for text in expected:
        assert sum(text in problem for problem in problems) == 1, (text, problems)
    assert len(problems) == len(expected)


BOX = (10.0, 5.0, 20.0, 10.0)  # radius 15 around (20, 10): left 5, top -5, right 35, bottom 25


def test_a_box_is_the_square_that_the_gans_see(tmp_path):
    tables, _, names = write_cub(tmp_path)
    lines = [f"{number} {' '.join(map(str, BOX))}" for number in range(1, 6)] + ["6 0.0 0.0 48.0 40.0"]
    (tables / "bounding_boxes.txt").write_text("\r\n".join(lines) + "\r\n")
    manifest, problems = read_cub(tmp_path, "testclasses", "box")
    assert problems == []
    check_manifest(manifest, "test")
    first, last = places(manifest)[0], places(manifest)[-1]
    assert (first.box, last.box) == ((5, 0, 35, 25), (0, 0, 48, 40))
    assert (manifest.width[0], manifest.height[0]) == (30, 25)
    whole = np.asarray(Image.open(tables / "images" / names[0]))
    np.testing.assert_array_equal(load_image(*first), whole[0:25, 5:35])
    uncropped, _ = read_cub(tmp_path, "testclasses", "image")
    assert places(uncropped)[0].box == (0, 0, 0, 0) and uncropped.width[0] == 48


def test_boxes_must_be_there_and_in_their_image(tmp_path):
    tables, _, names = write_cub(tmp_path)
    with pytest.raises(ValueError, match="not CUB-200-2011.*bounding_boxes.txt(.|\n)*for cub_crop: box"):
        read_cub(tmp_path, "testclasses", "box")
    boxes = ["1 -3.0 0 5 5", "2 40 5 20 10", "3 5 5 0 10", "4 some where 5 5", "6 10 5 38.5 35", "6 1 1 5 5"]
    (tables / "bounding_boxes.txt").write_text("\n".join(boxes))
    manifest, problems = read_cub(tmp_path, "testclasses", "box")
    assert manifest.image_id.unique().tolist() == ["6"], "a rounded box may end a pixel outside"
    expected = [
        "line 4: not an image's id and four numbers",
        "line 6: image 6 has a box already",
        f"{Path(names[0]).name}: its box -3 0 5 5 is not in the 48 x 40 pixels",
        "its box 40 5 20 10 is not in",
        "its box 5 5 0 10 is not in",
        "no box for image 4",
        "no box for image 5",
    ]
    for text in expected:
        assert sum(text in problem for problem in problems) == 1, (text, problems)
    assert len(problems) == len(expected)


def test_the_miniature_world_s_boxes_hold_its_birds(tmp_path):
    """Its birds are drawn within boxes that lie in the picture, so that every choice works without any data."""
    write_miniature(tmp_path, cub_items(3, 4, seed=0, variety=RICH), 0)
    whole, _ = read_cub(tmp_path, "testclasses", "image")
    birds, problems = read_cub(tmp_path, "train_test_split", "box")
    assert problems == [] and len(birds) == len(whole) == 120
    assert (birds.width <= whole.width).all() and (birds.width < whole.width).any()
