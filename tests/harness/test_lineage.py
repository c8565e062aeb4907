import os
from pathlib import Path

import pytest

from harness.lineage import RunRecord, git_tags, read_record, upstream_runs, write_record
from harness.pipeline import StageEntry

GIT = """#!/bin/sh
case "$1" in
  rev-parse) echo 0123abc ;;
  status) [ "$*" = "status --porcelain -- src stages dvc.yaml" ] || exit 1; printf '{status}' ;;
esac
"""


@pytest.fixture
def fake_git(tmp_path, monkeypatch):
    def install(status: str) -> None:
        (tmp_path / "git").write_text(GIT.format(status=status))
        (tmp_path / "git").chmod(0o755)
        monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")

    return install


@pytest.mark.parametrize(("status", "dirty"), [("", "false"), (" M src/a.py", "true")])
def test_the_commit_and_whether_the_code_differs_from_it(fake_git, status, dirty):
    fake_git(status)
    assert git_tags() == {"mlflow.source.git.commit": "0123abc", "git.dirty": dirty}


def test_without_git_there_are_no_tags(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert git_tags() == {}


def test_records_of_upstream_stages_are_read_back_where_they_exist(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("runs").mkdir()
    names = (("sample", "coco"), ("train", None), ("x", None))
    stages = tuple(StageEntry(name=name, item=item, deps=(), params=(), outs=()) for name, item in names)
    for stage, run_id in zip(stages, ("abc", None), strict=False):
        record = RunRecord(stage=stage.address, run_id=run_id, seconds=1.5, throughput={"a": 2.0}, upstream={})
        write_record(record, Path(f"runs/{stage.label}.json"))
        assert read_record(stage) == record
    Path("runs/x.json").write_text("{broken")
    assert upstream_runs(stages) == {"sample-coco": "abc", "train": None}
