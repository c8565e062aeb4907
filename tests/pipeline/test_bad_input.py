"""What a user can get wrong before anything ran: one clear line each, exit code 2, nothing written that looks complete."""

from contextlib import chdir

import pytest

from harness import cli


@pytest.fixture
def refused(project, capsys):
    """A function of a stage that must refuse to work: the message that it prints, which begins on its only line of error."""

    def run(stage: str) -> str:
        return refusal(project.stage(stage), capsys.readouterr())

    return run


def refusal(code: int, printed) -> str:
    assert code == 2, printed.out + printed.err
    assert "Traceback" not in printed.err
    errors = [line for line in printed.err.splitlines() if line.startswith("ERROR")]
    assert len(errors) == 1, printed.err
    return printed.err[printed.err.index("ERROR") :]


def test_unknown_key(project, refused):
    project.edit("  codebook_width:", "  codebook_widht:")
    message = refused("prepare_data")
    assert "train_dvae.codebook_widht: unknown key" in message
    assert "did you mean 'codebook_width'" in message
    assert not (project.folder / "data").exists()


def test_rule_between_sections(project, refused):
    project.edit("sweep: [1, 2, 4, 8]", "sweep: [1, 2, 4, 8, 16]")
    assert "rerank.sweep goes to 16" in refused("train_dvae")


def test_training_on_a_corpus_that_is_not_read(project, refused):
    project.edit("  web: miniworld", "  web: cub")
    project.edit("domains: [coco, cub]", "domains: [coco]")
    message = refused("prepare_data")
    assert "prepare_data.web is cub" in message and "add cub to domains" in message


def test_rows_that_leave_nothing_to_complete(project, refused):
    project.edit("  rows: 4", "  rows: 8")
    message = refused("train_dvae")
    assert "complete.rows must be 1 to 7, of a picture's 8 rows of tokens, got 8" in message


def test_missing_pictures_to_complete(project, refused):
    """Said by the first stage, not after hours of training."""
    project.edit("  source: miniworld", "  source: no/such/folder")
    message = refused("prepare_data")
    assert "no/such/folder: no such folder; expected" in message and "captions.jsonl" in message
    assert not (project.folder / "data/prepared").exists()


def test_preset_that_does_not_exist(project, capsys):
    before = (project.folder / "params.yaml").read_bytes()
    with chdir(project.folder), pytest.raises(SystemExit) as stop:
        cli.main(["preset", "gigantic"])
    message = refusal(stop.value.code, capsys.readouterr())
    assert "gigantic" in message and "mini" in message and "smoke" in message
    assert (project.folder / "params.yaml").read_bytes() == before


def test_missing_data_folder(project, refused):
    project.edit("  web: miniworld", "  web: no/such/folder")
    message = refused("prepare_data")
    assert "no/such/folder" in message
    assert ".tar" in message, "the message says what the folder should hold"
    assert not (project.folder / "data/prepared").exists()


def test_stage_without_what_comes_before(refused):
    message = refused("filter_data")
    assert "data/prepared" in message
