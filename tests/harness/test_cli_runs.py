import pytest

from harness import cli
from harness.stage import execute
from harness.tracking import connect


def test_runs_lists_what_made_the_outputs_and_closes_what_is_dead(tracked_project, toy_tree, capsys):
    def main(stage):
        with stage.output("models/toy.txt") as path:
            path.write_text("model")
        stage.finish({})

    assert execute(main, "train", [], toy_tree) == 0
    client = connect(tracked_project)
    experiment = client.get_experiment_by_name("toy").experiment_id
    (made,) = client.search_runs([experiment])
    tags = {name: made.data.tags[name] for name in ("dvc.stage", "workspace")} | {"checkpoint.key": "dead"}
    dead = client.create_run(experiment, run_name="train", tags=tags).info.run_id
    capsys.readouterr()
    with pytest.raises(SystemExit) as stop:
        cli.main(["runs", "--close-stale"], toy_tree)
    lines = capsys.readouterr().out.splitlines()
    assert stop.value.code == 0 and lines[0] == f"marked as KILLED: train {dead}"
    assert client.get_run(dead).info.status == "KILLED"
    listed = {line.split()[0]: line for line in lines[1:]}
    assert listed["train"].endswith(f"{made.info.run_id} FINISHED") and listed["sample@cub"].endswith("not run")
