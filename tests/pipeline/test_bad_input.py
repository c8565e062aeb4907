"""What a user can get wrong before anything ran: one clear line each, exit code 2, nothing written that looks complete."""

import pytest

pytestmark = pytest.mark.pipeline


def refused(process) -> str:
    """The single line that a refusal prints."""
    assert process.returncode == 2, process.stdout + process.stderr
    assert "Traceback" not in process.stderr
    errors = [line for line in process.stderr.splitlines() if line.startswith("ERROR")]
    assert len(errors) == 1, process.stderr
    return process.stderr[process.stderr.index("ERROR") :]


def test_unknown_key(project):
    project.edit("  codebook_width:", "  codebook_widht:")
    message = refused(project.run("stages.prepare_data"))
    assert "train_dvae.codebook_widht: unknown key" in message
    assert "did you mean 'codebook_width'" in message
    assert not (project.folder / "data").exists()


def test_rule_between_sections(project):
    project.edit("sweep: [1, 2, 4, 8]", "sweep: [1, 2, 4, 8, 16]")
    assert "rerank.sweep goes to 16" in refused(project.run("stages.train_dvae"))


def test_training_on_a_corpus_that_is_not_read(project):
    project.edit("  web: miniworld", "  web: cub")
    project.edit("domains: [coco, cub]", "domains: [coco]")
    message = refused(project.run("stages.prepare_data"))
    assert "prepare_data.web is cub" in message and "add cub to domains" in message


def test_rows_that_leave_nothing_to_complete(project):
    project.edit("  rows: 6", "  rows: 12")
    message = refused(project.run("stages.train_dvae"))
    assert "complete.rows must be 1 to 11, of a picture's 12 rows of tokens, got 12" in message


def test_missing_pictures_to_complete(project):
    """Said by the first stage, not after hours of training."""
    project.edit("  source: miniworld", "  source: no/such/folder")
    message = refused(project.run("stages.prepare_data"))
    assert "no/such/folder: no such folder; expected" in message and "captions.jsonl" in message
    assert not (project.folder / "data/prepared").exists()


def test_preset_that_does_not_exist(project):
    before = (project.folder / "params.yaml").read_bytes()
    message = refused(project.run("harness.cli", "preset", "gigantic"))
    assert "gigantic" in message and "mini" in message and "smoke" in message
    assert (project.folder / "params.yaml").read_bytes() == before


def test_missing_data_folder(project):
    project.edit("  web: miniworld", "  web: no/such/folder")
    message = refused(project.run("stages.prepare_data"))
    assert "no/such/folder" in message
    assert ".tar" in message, "the message says what the folder should hold"
    assert not (project.folder / "data/prepared").exists()


def test_stage_without_what_comes_before(project):
    message = refused(project.run("stages.filter_data"))
    assert "data/prepared" in message
