"""Fixtures of the pipeline tests."""

import pytest
from project_copies import Project, copy_project


@pytest.fixture
def project(tmp_path) -> Project:
    return copy_project(tmp_path / "project")
