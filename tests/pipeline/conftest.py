"""Fixtures of the pipeline tests."""

import pytest
from project_copies import Project, copy_project


@pytest.fixture
def project(tmp_path) -> Project:
    return copy_project(tmp_path / "project")


@pytest.fixture(scope="session")
def finished(tmp_path_factory) -> Project:
    """The project at the smoke preset after one `dvc repro`. A test that changes it works on a copy (`copy_of`)."""
    project = copy_project(tmp_path_factory.mktemp("smoke") / "project")
    first = project.run("dvc", "repro")
    assert first.returncode == 0, first.stdout[-3000:] + first.stderr[-3000:]
    sent = project.run("harness.cli", "upload")
    assert sent.returncode == 0, sent.stderr
    return project
