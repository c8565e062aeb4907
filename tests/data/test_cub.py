import pytest
from small_pairs import encoded, picture

from dalle.data.manifest import check_manifest
from dalle.data.sources.cub import read_cub

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
    return tables, texts, names


@pytest.mark.parametrize("places", [("CUB_200_2011", "cvpr2016_cub"), (".", "."), ("CUB_200_2011", ".")])
def test_the_split_is_by_class_and_pairs_are_lines(tmp_path, places):
    write_cub(tmp_path, *places)
    manifest, problems = read_cub(tmp_path)
    assert problems == []
    check_manifest(manifest, "test")
    assert manifest.pair_id.tolist() == [f"{image}-{line}" for image in range(1, 7) for line in range(2)]
    assert manifest.split.tolist() == ["train"] * 8 + ["test"] * 4
    assert manifest.caption.tolist()[:2] == ["a bird number 0 .", "it has wings"]
    assert manifest.image_id.tolist()[-1] == "6" and (manifest.width == 48).all()


def test_blank_lines_count_and_stray_bytes_do_not_stop_the_work(tmp_path):
    _, texts, names = write_cub(tmp_path)
    path = (texts / "text_c10" / names[0]).with_suffix(".txt")
    path.write_bytes(b"\xef\xbb\xbffirst\r\n\r\n  \nthe \xff\xe9 bird\x0b's beak\rlast")
    manifest, problems = read_cub(tmp_path)
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
    with open(texts / "testclasses.txt", "a") as file:
        file.write("010.Nobody\n")
    manifest, problems = read_cub(tmp_path)
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
        "'010.Nobody' is not a class",
    ]
    for text in expected:
        assert sum(text in problem for problem in problems) == 1, (text, problems)
    assert len(problems) == len(expected)


def test_wrong_folders_say_what_was_expected(tmp_path):
    with pytest.raises(ValueError, match=f"{tmp_path}/none: not CUB-200-2011(.|\n)*testclasses.txt(.|\n)*text_c10"):
        read_cub(tmp_path / "none")
    _, texts, _ = write_cub(tmp_path)
    (texts / "testclasses.txt").write_text("\n")
    with pytest.raises(ValueError, match="testclasses.txt: names none of the 3 classes"):
        read_cub(tmp_path)
    (texts / "testclasses.txt").unlink()
    with pytest.raises(ValueError, match="expected\n"):
        read_cub(tmp_path)
