"""Fixtures of the pipeline tests."""

import os
from pathlib import Path

import pytest
from project_copies import Project, copy_project, linked_project, made_once


@pytest.fixture
def project(tmp_path) -> Project:
    """Nothing made yet; its stages are run in this process."""
    return linked_project(tmp_path / "project")


@pytest.fixture(scope="session")
def finished(tmp_path_factory) -> Project:
    """The project at the smoke preset after one `dvc repro`. A test that changes it works on a copy (`copy_of`).

    The workers of pytest-xdist share it: their temporary folders lie in one.
    """
    base = tmp_path_factory.getbasetemp()
    shared = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    return made_once(shared / "smoke", _run_smoke)


def _run_smoke(folder: Path) -> Project:
    project = copy_project(folder)
    first = project.run("dvc", "repro")
    assert first.returncode == 0, first.stdout[-3000:] + first.stderr[-3000:]
    sent = project.run("harness.cli", "upload")
    assert sent.returncode == 0, sent.stderr
    return project
