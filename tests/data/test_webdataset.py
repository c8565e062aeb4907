import contextlib
import io
import json
import tarfile

import pytest
from hypothesis import given
from hypothesis import strategies as st
from small_pairs import encoded, picture, write_tar

from dalle.data.images import load_image
from dalle.data.manifest import check_manifest
from dalle.data.sources import webdataset
from dalle.data.sources.problems import require_few_problems
from dalle.data.sources.tar_members import Member, plain_members
from dalle.data.sources.webdataset import read_webdataset


def test_shards_are_indexed_where_they_lie(tmp_path):
    jpeg, png, webp = encoded(picture(0, 30, 20)), encoded(picture(1, 10, 25), "PNG"), encoded(picture(2, 8, 9), "WEBP")
    write_tar(tmp_path / "00001.tar", {"b.webp": webp, "b.txt": b"third"})
    write_tar(
        tmp_path / "00000.tar",
        {
            "000.jpg": jpeg,
            "000.txt": "  caf\u00e9\r\n at \t night\ufeff ".encode(),
            "000.json": b'{"caption": "not this one"}',
            "sub/001.JSON": json.dumps({"caption": "from json"}).encode("utf-16"),
            "sub/001.png": png,
        },
    )
    manifest, problems = read_webdataset(tmp_path)
    assert problems == []
    check_manifest(manifest, "test")
    assert manifest.pair_id.tolist() == manifest.image_id.tolist() == ["00000/000", "00000/sub/001", "00001/b"]
    assert manifest.caption.tolist() == ["café at night", "from json", "third"]
    assert list(zip(manifest.width, manifest.height, strict=True)) == [(30, 20), (10, 25), (8, 9)]
    assert set(manifest.split) == {"train"}
    for row, data in zip(manifest.itertuples(), (jpeg, png, webp), strict=True):
        with open(row.file, "rb") as file:
            assert file.read()[row.offset : row.offset + row.num_bytes] == data
        assert load_image(row.file, row.offset, row.num_bytes).shape == (row.height, row.width, 3)


def test_odd_captions_and_broken_images_are_kept_for_the_filters(tmp_path):
    write_tar(
        tmp_path / "0.tar",
        {
            "a.jpg": b"",
            "a.txt": b"an empty file",
            "b.jpg": b"<html></html>",
            "b.txt": "a web\u200b page".encode("utf-16"),
            "c.jpg": encoded(picture(0)),
            "c.txt": b"",
            "d.jpg": encoded(picture(0)),
            "d.txt": b"word " * 4000,
        },
    )
    manifest, problems = read_webdataset(tmp_path)
    assert problems == []
    assert manifest.caption.str.len().tolist() == [13, 11, 0, 19_999]
    assert manifest.caption[1] == "a web\u200b page"
    assert manifest.width.tolist() == [0, 0, 48, 48] and manifest.num_bytes.tolist()[:2] == [0, 13]


def test_problems_are_collected_with_shard_and_key(tmp_path):
    image = encoded(picture(0))
    shard = write_tar(
        tmp_path / "7.tar",
        {
            "good.jpg": image,
            "good.txt": b"good",
            "silent.jpg": image,
            "blind.txt": b"no image",
            "null.jpg": image,
            "null.json": b'{"caption": null}',
            "list.jpg": image,
            "list.json": b"[]",
            "broken.jpg": image,
            "broken.json": b"{",
            "../evil.jpg": image,
            "/root.jpg": image,
        },
    )
    with tarfile.open(shard, "a") as tar:
        for name, kind in (("good.jpg", tarfile.REGTYPE), ("link.jpg", tarfile.SYMTYPE)):
            member = tarfile.TarInfo(name)
            member.type, member.linkname = kind, "/etc/hostname"
            tar.addfile(member, io.BytesIO())
    manifest, problems = read_webdataset(tmp_path)
    assert manifest.pair_id.tolist() == ["7/good"] and manifest.num_bytes[0] == len(image)
    assert len(problems) == 9 and all(str(shard) in problem for problem in problems)
    for key, reason in {
        "silent": "no caption: neither",
        "blind": "no image",
        "null": "is None",
        "list": "cannot be read",
        "broken": "cannot be read",
        "../evil.jpg": "leads out of the folder",
        "/root.jpg": "leads out of the folder",
        "good.jpg": "occurs twice",
        "link.jpg": "not a file",
    }.items():
        assert sum(repr(key) in problem and reason in problem for problem in problems) == 1, (key, problems)


def test_what_can_be_read_of_damaged_shards_is_read(tmp_path):
    image = encoded(picture(0))
    members = {name: data for key in "abc" for name, data in ((f"{key}.txt", b"hello"), (f"{key}.jpg", image))}
    whole = write_tar(tmp_path / "whole.tar", members).read_bytes()
    with tarfile.open(tmp_path / "whole.tar") as tar:
        third, second = tar.getmember("c.jpg"), tar.getmember("b.txt")
    (tmp_path / "cut.tar").write_bytes(whole[: third.offset_data + 100])
    (tmp_path / "hole.tar").write_bytes(whole[: second.offset] + b"\x55" * 512 + whole[second.offset + 512 :])
    (tmp_path / "empty.tar").write_bytes(b"")
    (tmp_path / "text.tar").write_bytes(b"not found" * 200)
    (tmp_path / "endless.tar").write_bytes(whole[: third.offset_data + -(-third.size // 512) * 512])
    manifest, problems = read_webdataset(tmp_path)
    ids = manifest.pair_id.tolist()
    assert ids == ["cut/a", "cut/b", "endless/a", "endless/b", "endless/c", "hole/a", "whole/a", "whole/b", "whole/c"]
    for shard, reason in {
        "cut.tar": "cut off|breaks",
        "hole.tar": f"damaged header at byte {second.offset}",
        "endless.tar": "stops without the mark",
        "empty.tar": "not a whole tar file",
        "text.tar": "not a whole tar file",
    }.items():
        about = [problem for problem in problems if shard in problem]
        assert about and any(part in problem for problem in about for part in reason.split("|")), problems
    assert not any("whole.tar" in problem for problem in problems)


def with_tarfile(shard):
    """Name, offset and size of every plain file, by Python's own reader."""
    with tarfile.open(shard) as tar:
        return [Member(member.name, member.offset_data, member.size) for member in tar if member.isreg()]


@pytest.mark.parametrize("kind", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
@pytest.mark.parametrize("time", [0, 1.5])  # which needs an extended header
def test_plain_members_are_those_of_tarfile(tmp_path, kind, time):
    with tarfile.open(tmp_path / "0.tar", "w", format=kind) as tar:
        for index in range(40):
            member = tarfile.TarInfo(f"folder/{index:05d}.jpg")
            member.size, member.mtime = 300 * index, time
            tar.addfile(member, io.BytesIO(bytes(member.size)))
    members = plain_members(tmp_path / "0.tar")
    assert members == with_tarfile(tmp_path / "0.tar") and len(members) == 40


@pytest.mark.parametrize(
    "change",
    [
        {"name": "a" * 150},
        {"name": "f" * 60 + "/" + "a" * 60},
        {"name": "caf\u00e9.jpg"},
        {"name": "../a.jpg", "type": tarfile.SYMTYPE, "linkname": "b"},
        {"name": "folder", "type": tarfile.DIRTYPE},
        {"pax_headers": {"path": "other.jpg"}},
        {"pax_headers": {"size": "3"}},
    ],
)
@pytest.mark.parametrize("kind", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_whatever_is_odd_is_left_to_tarfile(tmp_path, kind, change):
    with tarfile.open(tmp_path / "0.tar", "w", format=kind) as tar:
        member = tarfile.TarInfo("a.jpg")
        for name, value in change.items():
            setattr(member, name, value)
        with contextlib.suppress(ValueError):  # a name that this format has no room for
            tar.addfile(member)
    members = plain_members(tmp_path / "0.tar")
    assert members is None or members == with_tarfile(tmp_path / "0.tar")


@given(st.data())
def test_damaged_headers_are_left_to_tarfile(tmp_path_factory, data):
    folder = tmp_path_factory.mktemp("damaged")
    shard = write_tar(folder / "0.tar", {f"{name}.txt": b"caption" * 90 for name in "abc"})
    damaged = bytearray(shard.read_bytes())
    for _ in range(data.draw(st.integers(1, 2))):
        damaged[data.draw(st.integers(0, 4000))] = data.draw(st.integers(0, 255))
    shard.write_bytes(damaged[: data.draw(st.integers(0, 8000))])
    members = plain_members(shard)
    assert members is None or members == with_tarfile(shard)


def test_many_shards_are_read_by_processes_with_the_same_result(tmp_path, monkeypatch):
    for shard in range(3):
        write_tar(tmp_path / f"{shard}.tar", {"k.jpg": encoded(picture(shard)), "k.txt": b"caption", "lost.txt": b""})
    alone = read_webdataset(tmp_path)
    monkeypatch.setattr(webdataset, "POOL_FROM_BYTES", 0)
    together = read_webdataset(tmp_path)
    assert together[0].equals(alone[0]) and together[1] == alone[1] and len(alone[1]) == 3


def test_a_shard_that_was_indexed_is_not_read_again_unless_it_changed(tmp_path, tmp_path_factory, monkeypatch):
    for shard in range(3):
        write_tar(tmp_path / f"{shard}.tar", {"k.jpg": encoded(picture(shard)), "k.txt": b"caption", "lost.txt": b""})
    finished = tmp_path_factory.mktemp("finished")
    first = next(iterator := webdataset.iterate_webdataset(tmp_path, finished))
    iterator.close()  # stopped behind the first
    read, index_shard = [], webdataset.index_shard
    monkeypatch.setattr(webdataset, "index_shard", lambda shard, name: read.append(shard.name) or index_shard(shard, name))
    again = list(webdataset.iterate_webdataset(tmp_path, finished))
    assert read == ["1.tar", "2.tar"]
    assert again[0][0].equals(first[0]) and again[0][1] == first[1] != []
    assert [manifest.pair_id.tolist() for manifest, _ in again] == [["0/k"], ["1/k"], ["2/k"]]
    write_tar(tmp_path / "0.tar", {"new.jpg": encoded(picture(9)), "new.txt": b"caption"})
    changed = list(webdataset.iterate_webdataset(tmp_path, finished))
    assert read == ["1.tar", "2.tar", "0.tar"] and changed[0][0].pair_id.tolist() == ["0/new"]


def test_a_folder_without_shards_says_what_was_expected(tmp_path):
    for folder in (tmp_path, tmp_path / "missing"):
        with pytest.raises(ValueError, match=f"{folder}: no WebDataset shards; expected\n(.|\n)*00000.tar"):
            read_webdataset(folder)


def test_a_few_problems_pass_many_stop():
    require_few_problems(["one"] * 10, 1000, "web")
    require_few_problems([], 1, "web")
    with pytest.raises(ValueError, match="web: 30 problems beside 1000 usable pairs") as raised:
        require_few_problems([f"problem {index}" for index in range(30)], 1000, "web")
    assert "problem 19\n" in str(raised.value) and "problem 20" not in str(raised.value) and "10 more" in str(raised.value)
    with pytest.raises(ValueError, match="0 usable pairs"):
        require_few_problems([], 0, "web")
