import os
from functools import partial
from pathlib import Path

import pytest

from harness.lineage import RunRecord, all_params, git_state, read_record, upstream_runs, write_record
from harness.pipeline import StageEntry

GIT = """#!/bin/sh
case "$1" in
  rev-parse) echo 0123abc ;;
  status) [ "$*" = "status --porcelain -- src stages presets dvc.yaml" ] || exit 1; printf '{status}' ;;
esac
"""


@pytest.fixture
def fake_git(tmp_path, monkeypatch):
    def install(status: str) -> None:
        (tmp_path / "git").write_text(GIT.format(status=status))
        (tmp_path / "git").chmod(0o755)
        monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")

    return install


@pytest.mark.parametrize(("status", "dirty"), [("", False), (" M src/a.py", True)])
def test_the_commit_and_whether_the_code_differs_from_it(fake_git, status, dirty):
    fake_git(status)
    assert git_state() == ("0123abc", dirty)


def test_without_git_there_is_no_commit(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert git_state() == (None, None)


def record(stage: StageEntry, run: str | None, params: dict | None = None) -> RunRecord:
    return RunRecord(
        stage=stage.address,
        run=run,
        params=params or {},
        data={"data/rows": "0" * 32},
        upstream={},
        commit="0123abc",
        dirty=None,
        seconds=1.5,
        throughput={"a": 2.0},
    )


def test_records_of_upstream_stages_are_read_back_where_they_exist(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("runs").mkdir()
    names = (("sample", "coco"), ("train", None), ("x", None))
    stages = tuple(StageEntry(name=name, item=item, deps=(), params=(), outs=()) for name, item in names)
    for stage, run in zip(stages, ("abc", None), strict=False):
        write_record(record(stage, run), Path(f"runs/{stage.label}.json"))
        assert read_record(stage) == record(stage, run)
    Path("runs/x.json").write_text("{broken")
    assert upstream_runs(stages) == {"sample-coco": "abc", "train": None}


def test_a_result_depends_on_the_parameters_of_all_stages_before_it_as_they_were_used(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("runs").mkdir()
    entry = partial(StageEntry, item=None, params=())
    pipeline = (
        entry(name="prepare", deps=(), outs=("data/rows",)),
        entry(name="train", deps=("data/rows",), outs=("models/toy",)),
        entry(name="other", deps=("data/rows",), outs=("models/other",)),
        entry(name="sample", deps=("models/toy/model.safetensors",), outs=("samples",)),
    )
    for stage, params in zip(pipeline, ({"prepare.rows": 5}, {"train.rate": 1e-4}, {"other.rate": 7}), strict=False):
        write_record(record(stage, "abc", params), Path(f"runs/{stage.label}.json"))
    assert all_params(pipeline, pipeline[3], {"sample.n": 2}) == {"prepare.rows": 5, "train.rate": 1e-4, "sample.n": 2}
