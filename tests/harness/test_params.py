from pathlib import Path

import pytest

from dalle.config import ConfigError
from harness.params import flatten, load_params, read_yaml


@pytest.fixture
def write(tmp_path):
    def write_text(text: str) -> Path:
        (tmp_path / "params.yaml").write_text(text)
        return tmp_path / "params.yaml"

    return write_text


def test_numbers_are_what_dvc_takes_them_for(write):
    values = read_yaml(write("a: 3e-05\nb: 1.0e-4\nc: 1e4\nd: on\ne: 07\nf: null\ng: yes\n"))
    assert values == {"a": 3e-05, "b": 1e-4, "c": 1e4, "d": "on", "e": 7, "f": None, "g": "yes"}
    assert isinstance(values["a"], float)


def test_the_tree_of_the_toy_project(project, toy_tree):
    params = load_params(project / "params.yaml", toy_tree)
    assert (params.seed, params.train.rate, params.sample.domains) == (3, 1e-4, ("coco", "cub"))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: 1\nb: [1, 2\nc: 3\n", "line 3: not valid YAML"),
        ("a: 1\nb: 2\na: 3\n", 'line 3: not valid YAML: found duplicate key "a"'),
        ("a: 1\n b: 2\n", "line 2: not valid YAML"),
        ("a:\n\tb: 2\n", "line 2: not valid YAML"),
    ],
)
def test_bad_yaml_names_the_line(write, text, message):
    with pytest.raises(ConfigError) as caught:
        read_yaml(write(text))
    assert message in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize("text", ["", "- a\n", "just text\n"])
def test_a_file_that_is_no_mapping_is_refused(write, toy_tree, text):
    with pytest.raises(ConfigError, match="expected a section with keys"):
        load_params(write(text), toy_tree)


def test_missing_and_unreadable_files_are_named(tmp_path):
    with pytest.raises(ConfigError, match="absent.yaml: no such file"):
        read_yaml(tmp_path / "absent.yaml")
    (tmp_path / "latin.yaml").write_bytes(b"a: \xe9\n")
    with pytest.raises(ConfigError, match="latin.yaml: not UTF-8 text at byte 3"):
        read_yaml(tmp_path / "latin.yaml")


@pytest.mark.parametrize(("key", "value"), [("threads", "-1"), ("log_every", "0"), ("experiment", "''"), ("device", "gpu")])
def test_run_settings_are_checked_by_name(project, toy_tree, key, value):
    lines = (project / "params.yaml").read_text().splitlines()
    lines = [f"  {key}: {value}" if line.startswith(f"  {key}:") else line for line in lines]
    (project / "params.yaml").write_text("\n".join(lines))
    with pytest.raises(ConfigError, match=f"^run.*{key}"):
        load_params(project / "params.yaml", toy_tree)


def test_leaves_have_dotted_names():
    assert flatten({"a": {"b": 1, "c": {"d": [1, 2]}}, "e": {}}) == {"a.b": 1, "a.c.d": [1, 2], "e": {}}
