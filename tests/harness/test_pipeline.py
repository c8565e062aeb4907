import pytest

from dalle.config import ConfigError
from harness.params import read_yaml
from harness.pipeline import find_stage, read_pipeline, upstream_stages


@pytest.fixture
def pipeline(project):
    return read_pipeline(project / "dvc.yaml", read_yaml(project / "params.yaml"))


def test_foreach_stages_are_expanded_from_params(pipeline):
    assert [entry.address for entry in pipeline] == ["prepare", "train", "sample@coco", "sample@cub"]
    cub = find_stage(pipeline, "sample", "cub")
    assert (cub.label, cub.outs) == ("sample-cub", ("samples/cub", "runs/sample-cub.json"))


def test_outs_are_outs_metrics_and_plots_and_what_lies_inside(pipeline):
    train = find_stage(pipeline, "train", None)
    assert train.outs == ("models/toy.txt", "runs/train.json", "reports/metrics/train.json", "reports/curves/train.csv")
    assert find_stage(pipeline, "prepare", None).writes("data/rows/3.txt")
    assert not find_stage(pipeline, "prepare", None).writes("data/rows2")


def test_upstream_is_who_writes_the_deps(pipeline):
    assert [entry.name for entry in upstream_stages(pipeline, find_stage(pipeline, "train", None))] == ["prepare"]
    assert [entry.name for entry in upstream_stages(pipeline, find_stage(pipeline, "sample", "coco"))] == ["train"]


def test_references_in_paths_and_mappings_of_items(tmp_path):
    (tmp_path / "dvc.yaml").write_text(
        "stages:\n  draw:\n    foreach:\n      a: {file: x.csv}\n    do:\n      cmd: echo \\${N:-1}\n"
        "      deps:\n        - ${folder.name}/${item.file}\n      params:\n        - params.yaml:\n            - figs.${key}\n"
    )
    (entry,) = read_pipeline(tmp_path / "dvc.yaml", {"folder": {"name": "in"}})
    assert (entry.item, entry.deps, entry.params) == ("a", ("in/x.csv",), ("figs.a",))


def test_a_matrix_gives_an_entry_for_every_combination_called_as_dvc_calls_it(tmp_path):
    (tmp_path / "dvc.yaml").write_text(
        "stages:\n  train:\n    matrix:\n      model: ${models}\n      domain: [coco, cub]\n"
        "    cmd: echo\n    outs:\n      - out/${item.domain}/${item.model}\n"
    )
    entries = read_pipeline(tmp_path / "dvc.yaml", {"models": ["a", "b"]})
    assert [entry.address for entry in entries] == ["train@a-coco", "train@a-cub", "train@b-coco", "train@b-cub"]
    assert [entry.outs for entry in entries] == [("out/coco/a",), ("out/cub/a",), ("out/coco/b",), ("out/cub/b",)]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: 1\n", "has no section 'stages'"),
        ("stages:\n  t:\n    deps:\n      - ${no.such}\n", "stages.t: nothing is called 'no.such'"),
        ("stages:\n  t:\n    params:\n      - other.yaml:\n          - a\n", "only keys of params.yaml"),
        ("stages:\n  t: [echo]\n", "plain or with 'foreach' or 'matrix'"),
        ("stages:\n  t:\n    matrix: {a: \"${models}\"}\n", "stages.t: nothing is called 'models'"),
    ],
)
def test_what_cannot_be_used_is_named(tmp_path, text, message):
    (tmp_path / "dvc.yaml").write_text(text)
    with pytest.raises(ConfigError, match=message.replace("[", r"\[").replace(".", r"\.")):
        read_pipeline(tmp_path / "dvc.yaml", {})
