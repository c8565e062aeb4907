import pytest

from harness import cli
from harness.stage import execute
from harness.tracking import connect, workspace


def command(capsys, *arguments, tree=None) -> tuple[int, str, str]:
    capsys.readouterr()
    with pytest.raises(SystemExit) as stop:
        cli.main(list(arguments), tree)
    return (stop.value.code, *capsys.readouterr())


def finish(stage):
    with stage.output("models/toy.txt") as path:
        path.write_text("model")
    stage.finish({})


def test_runs_lists_what_made_the_outputs(tracked_project, toy_tree, capsys):
    assert execute(finish, "train", [], toy_tree) == 0
    code, out, _ = command(capsys, "runs", tree=toy_tree)
    client = connect(tracked_project)
    (made,) = client.search_runs([client.get_experiment_by_name("toy").experiment_id])
    listed = {line.split()[0]: line for line in out.splitlines()}
    assert code == 0 and listed["train"].endswith(f"{made.info.run_id} FINISHED") and listed["sample@cub"].endswith("not run")


def test_a_run_whose_journal_was_deleted_is_closed(tracked_project, toy_tree, capsys):
    client = connect(tracked_project)
    experiment = client.create_experiment("toy", artifact_location=(tracked_project / "mlruns").as_uri())
    tags = {"dvc.stage": "train", "workspace": workspace(tracked_project), "run": "f" * 32}
    lost = client.create_run(experiment, run_name="train", tags=tags).info.run_id
    theirs = client.create_run(experiment, run_name="train", tags={**tags, "workspace": "elsewhere:/"}).info.run_id
    assert execute(finish, "train", [], toy_tree) == 0
    assert command(capsys, "upload")[0] == 0
    assert [client.get_run(run).info.status for run in (lost, theirs)] == ["KILLED", "RUNNING"]


def test_upload_says_why_it_cannot_and_sends_it_later(tracked_project, toy_tree, capsys, monkeypatch):
    (tracked_project / "server").write_text("a file where a folder should be")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tracked_project}/server/mlflow.db")
    assert execute(finish, "train", [], toy_tree) == 0, "a training never fails through its tracking"
    code, _, error = command(capsys, "upload")
    assert code == 2 and "WARNING: runs cannot be sent to MLflow: " in error and "wait in .tracking/" in error
    assert len(list((tracked_project / ".tracking").glob("*.jsonl"))) == 1
    (tracked_project / "server").unlink()
    assert command(capsys, "upload")[:2] == (0, "MLflow has every run that has ended\n")
    assert not list((tracked_project / ".tracking").glob("*.jsonl"))
    client = connect(tracked_project)
    (run,) = client.search_runs([client.get_experiment_by_name("toy").experiment_id])
    assert run.info.status == "FINISHED"
