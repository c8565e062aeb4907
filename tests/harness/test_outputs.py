import pytest

from harness.outputs import metrics_text, written_whole


def test_a_failed_write_leaves_the_old_file_and_no_remains(tmp_path):
    target = tmp_path / "deep/model.npy"
    with written_whole(target) as path:
        assert path.suffix == ".npy" and path.parent == target.parent
        path.write_text("old")
    with pytest.raises(RuntimeError), written_whole(target) as path:
        path.write_text("ne")
        raise RuntimeError
    assert target.read_text() == "old" and [file.name for file in target.parent.iterdir()] == ["model.npy"]


def test_a_folder_replaces_a_folder_as_a_whole(tmp_path):
    for names in (("a", "b"), ("c",)):
        with written_whole(tmp_path / "out") as path:
            path.mkdir()
            for name in names:
                (path / name).write_text(name)
    assert [file.name for file in (tmp_path / "out").iterdir()] == ["c"]


def test_what_a_killed_attempt_left_is_not_mixed_in(tmp_path):
    (tmp_path / ".partial-out").mkdir()
    (tmp_path / ".partial-out/stale").write_text("x")
    with written_whole(tmp_path / "out") as path:
        path.mkdir()
    assert list((tmp_path / "out").iterdir()) == [] and not (tmp_path / ".partial-out").exists()


def test_a_block_that_wrote_nothing_is_our_mistake(tmp_path):
    with pytest.raises(AssertionError, match="nothing was written"), written_whole(tmp_path / "out"):
        pass


@pytest.mark.parametrize("key", ["loss", "valid/psnr@db", "/loss", "time/seconds", "throughput/images_per_second"])
def test_keys_are_group_and_name_without_times(key):
    with pytest.raises(ValueError, match=f"metric '{key}'"):
        metrics_text({key: 1.0})


@pytest.mark.parametrize("value", ["1", None, True, [1.0]])
def test_values_are_numbers(value):
    with pytest.raises(ValueError, match="metric 'a/b': expected a number"):
        metrics_text({"a/b": value})
