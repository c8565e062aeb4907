import json
import subprocess
from pathlib import Path

import numpy as np
import pytest

from dalle.config import LinesError
from harness.locks import hold
from harness.stage import Stage, execute


def finish(stage: Stage) -> None:
    with stage.output("models/toy.txt") as path:
        path.write_text("model")
    stage.finish({"valid/total": 1.0})


def test_a_stage_sees_its_name_item_params_and_options(project, toy_tree):
    (project / "models").mkdir()
    (project / "models/toy.txt").write_text("model")
    seen = {}

    def main(stage):
        seen.update(name=stage.name, item=stage.item, root=stage.root)
        seen.update(rate=stage.params.train.rate, device=stage.options.device)
        with stage.output("samples/cub") as folder:
            folder.mkdir()
        stage.finish({})

    assert execute(main, "sample", ["cub"], toy_tree) == 0
    assert seen == {"name": "sample", "item": "cub", "root": project, "rate": 1e-4, "device": "cpu"}
    assert json.loads(Path("runs/sample-cub.json").read_text())["stage"] == "sample@cub"
    assert not Path("reports/metrics").exists()


def test_a_run_without_a_commit_says_so_when_it_ends(project, toy_tree, capsys, monkeypatch):
    commands = "git init --quiet", "git -c user.name=t -c user.email=t@t commit --quiet --allow-empty --message first"
    for command in commands:
        subprocess.run(command.split(), check=True)
    (project / "models").mkdir()
    assert execute(finish, "train", [], toy_tree) == 0 and "records no commit" not in capsys.readouterr().err
    monkeypatch.setenv("GIT_TEST_ASSUME_DIFFERENT_OWNER", "1")  # git's own switch for what containers do
    assert execute(finish, "train", [], toy_tree) == 0
    error = capsys.readouterr().err
    assert "WARNING: train: this run records no commit" in error and "detected dubious ownership" in error
    assert json.loads(Path("runs/train.json").read_text())["commit"] is None


@pytest.mark.parametrize(
    ("name", "arguments", "message"),
    [
        ("sample", [], "needs one of the items coco, cub"),
        ("sample", ["birds"], "needs one of the items coco, cub; got 'birds'"),
        ("train", ["coco"], "takes no item"),
        ("train", ["coco", "cub"], "at most one item"),
        ("trian", [], "dvc.yaml has no stage 'trian'"),
    ],
)
def test_a_wrong_item_or_stage_is_named(project, toy_tree, capsys, name, arguments, message):
    assert execute(finish, name, arguments, toy_tree) == 2
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1


def test_a_missing_dep_is_named(project, toy_tree, capsys):
    (project / "data/rows/0.txt").unlink()
    (project / "data/rows").rmdir()
    assert execute(finish, "train", [], toy_tree) == 2
    assert "ERROR train: data/rows: missing, and train depends on it: run 'dvc repro train'" in capsys.readouterr().err


def test_user_errors_are_one_line_and_crashes_have_a_traceback(project, toy_tree, capsys, monkeypatch):
    def wrong_value(stage):
        raise ValueError("captions.csv, row 3:\n no caption")

    def crash(stage):
        raise RuntimeError("bug")

    assert execute(wrong_value, "train", [], toy_tree) == 2
    lines = capsys.readouterr().err.splitlines()
    assert lines[-1] == "ERROR train: captions.csv, row 3: no caption" and not any("Traceback" in line for line in lines)
    def wrong_folder(stage):
        raise LinesError("data: not what is expected:\n  captions.csv\n  cat.jpg")

    assert execute(wrong_folder, "train", [], toy_tree) == 2
    assert capsys.readouterr().err.endswith("ERROR train: data: not what is expected:\n  captions.csv\n  cat.jpg\n")
    assert execute(crash, "train", [], toy_tree) == 1
    assert "Traceback" in capsys.readouterr().err
    monkeypatch.setenv("DALLE_TRACEBACK", "1")
    assert execute(wrong_value, "train", [], toy_tree) == 2
    assert "Traceback" in capsys.readouterr().err


@pytest.mark.parametrize("code", [0, None, 3])
def test_a_stage_cannot_pass_for_done_without_finish(project, toy_tree, capsys, code):
    def leaves(stage):
        raise SystemExit(code)

    assert execute(leaves, "train", [], toy_tree) == (code or 1)
    assert execute(lambda stage: None, "train", [], toy_tree) == 1
    assert "must end with stage.finish" in capsys.readouterr().err


def test_an_edited_parameter_fails_the_stage_by_name(project, toy_tree, capsys):
    def main(stage):
        params = Path("params.yaml")
        params.write_text(params.read_text().replace("1.0e-4", "2.0e-4").replace("log_every: 1", "log_every: 7"))
        finish(stage)

    assert execute(main, "train", [], toy_tree) == 2
    assert "train.rate in params.yaml changed while the stage ran (0.0001 -> 0.0002)" in capsys.readouterr().err
    assert not Path("runs/train.json").exists()


def test_an_edit_that_is_no_input_of_the_stage_does_not_matter(project, toy_tree):
    def main(stage):
        params = Path("params.yaml")
        params.write_text(params.read_text().replace("log_every: 1", "log_every: 7").replace("num_rows: 5", "num_rows: 6"))
        Path("data/rows/0.txt").touch()
        finish(stage)

    assert execute(main, "train", [], toy_tree) == 0


@pytest.mark.parametrize("edited", ["stages/train.py", "data/rows/0.txt"])
def test_an_edited_dep_fails_the_stage_by_name(project, toy_tree, capsys, edited):
    def main(stage):
        Path(edited).write_text("edited")
        finish(stage)

    assert execute(main, "train", [], toy_tree) == 2
    dep = "data/rows" if edited.startswith("data") else edited
    assert f"ERROR train: {dep} changed while the stage ran" in capsys.readouterr().err


def test_checkpoint_and_scratch_survive_a_failure_and_go_with_success(project, toy_tree):
    folders = []

    def fails(stage):
        (stage.scratch / "half.npy").write_text("half")
        stage.checkpoint.save({"step": 4})
        folders.append(stage.scratch)
        raise ValueError("stop")

    def resumes(stage):
        assert stage.checkpoint.load() == {"step": 4} and (stage.scratch / "half.npy").read_text() == "half"
        finish(stage)

    assert execute(fails, "train", [], toy_tree) == 2
    assert execute(resumes, "train", [], toy_tree) == 0
    assert not folders[0].parent.exists()


def test_other_parameters_or_inputs_never_meet_an_old_checkpoint(project, toy_tree):
    seen = []

    def main(stage):
        seen.append(stage.checkpoint.load())
        stage.checkpoint.save({"step": 4})
        raise ValueError("stop")

    execute(main, "train", [], toy_tree)
    Path("params.yaml").write_text(Path("params.yaml").read_text().replace("log_every: 1", "log_every: 2"))
    execute(main, "train", [], toy_tree)
    Path("params.yaml").write_text(Path("params.yaml").read_text().replace("1.0e-4", "2.0e-4"))
    execute(main, "train", [], toy_tree)
    Path("data/rows/0.txt").write_text("other")
    execute(main, "train", [], toy_tree)
    assert seen == [None, {"step": 4}, None, None]


def test_a_second_process_is_refused_in_the_workspace(project, toy_tree, capsys):
    with hold(Path(".checkpoints/train/lock"), what="train", wait=False):
        assert execute(finish, "train", [], toy_tree) == 2
    assert "train is already running (process" in capsys.readouterr().err


def test_in_a_queued_copy_the_workspace_keeps_checkpoints(project, toy_tree, tmp_path, monkeypatch):
    monkeypatch.setenv("DVC_ROOT", str(tmp_path / "workspace"))
    roots = []

    def main(stage):
        roots.append((stage.root, stage.checkpoint.path.is_relative_to(tmp_path / "workspace/.checkpoints/train")))
        finish(stage)

    assert execute(main, "train", [], toy_tree) == 0
    assert roots == [(tmp_path / "workspace", True)] and (project / "models/toy.txt").exists()


def test_metrics_and_curves_are_the_same_bytes_twice_and_hold_no_times(project, toy_tree):
    def main(stage):
        for step in (3, 0):
            stage.log(step, {"train/loss": 1 / (step + 3), "time/seconds": 5.0})
        stage.log(3, {"valid/psnr_db": np.float32(20)})
        stage.throughput(images_per_second=1234.567)
        with stage.output("models/toy.txt") as path:
            path.write_text("model")
        stage.finish({"valid/b": np.float64(1 / 3), "valid/a": np.int64(7), "codes/used": 1e-9})

    contents = []
    for _ in range(2):
        assert execute(main, "train", [], toy_tree) == 0
        contents.append([Path(f"reports/{name}").read_bytes() for name in ("metrics/train.json", "curves/train.csv")])
    assert contents[0] == contents[1]
    assert contents[0][0] == b'{\n  "codes/used": 1e-09,\n  "valid/a": 7,\n  "valid/b": 0.333333\n}\n'
    assert contents[0][1] == b"step,train/loss,valid/psnr_db\n0,0.333333,\n3,0.166667,20\n"
    assert json.loads(Path("runs/train.json").read_text())["throughput"] == {"images_per_second": 1235.0}


@pytest.mark.parametrize("value", [float("nan"), float("inf"), np.float32("nan")])
def test_a_metric_without_a_value_is_named(project, toy_tree, capsys, value):
    assert execute(lambda stage: stage.finish({"valid/loss": value}), "train", [], toy_tree) == 2
    assert "metric 'valid/loss' is" in capsys.readouterr().err


def test_what_dvc_yaml_does_not_list_is_refused_before_it_is_written(project, toy_tree, capsys):
    def writes_elsewhere(stage):
        with stage.output("models/other.txt") as path:
            path.write_text("x")

    def curves(stage):
        stage.log(0, {"train/loss": 1.0})

    assert execute(writes_elsewhere, "train", [], toy_tree) == 2
    assert "models/other.txt: train writes it, but dvc.yaml does not list it" in capsys.readouterr().err
    assert execute(curves, "prepare", [], toy_tree) == 2
    assert "reports/curves/prepare.csv" in capsys.readouterr().err
