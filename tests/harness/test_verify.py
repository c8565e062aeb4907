"""`dalle verify` on a toy project whose results are planted: what is the same, what lies within, what does not."""

import json
import shutil
import statistics
from pathlib import Path

import pytest
from toy_experiments import ToyExperiments, md5

from harness import cli
from harness.seeds import write_seeds
from harness.verify import OUTSIDE, verify

LOSSES = {f"valid/loss_{n}": 5.0 + n for n in range(6)}
# three seeds, whose deviation of every loss is 0.1; the second is the committed one
SEEDS = {seed: {f"train_dvae:{key}": value + shift for key, value in LOSSES.items()} for seed, shift in enumerate((-0.1, 0, 0.1))}
COUNT = "train_dvae:rows/total"


def command(*arguments: str) -> int:
    with pytest.raises(SystemExit) as stop:
        cli.main(["verify", *arguments])
    return stop.value.code


def write_metrics(project: ToyExperiments, **changes: float) -> None:
    """Results of `train_dvae` in the workspace and its lock, as a run would leave them."""
    entry = project.lock["stages"]["train_dvae"]
    entry["outs"] = [out for out in entry["outs"] if not out["path"].startswith("reports/")]
    text = json.dumps({**LOSSES, "rows/total": 7, **{key.replace("__", "/"): value for key, value in changes.items()}})
    entry["outs"].append(project.result("reports/metrics/train_dvae.json", text))
    project.write_lock()


@pytest.fixture
def project(experiments: ToyExperiments) -> ToyExperiments:
    """Committed results with the spread of three seeds; every out is there, as after a run."""
    write_metrics(experiments)
    write_seeds({seed: {**values, COUNT: 7} for seed, values in SEEDS.items()})
    experiments.git("add", "--all")
    experiments.commit("results")
    for path in ("data/prepared", "models/dvae", "models/prior", "runs"):
        Path(path).mkdir(parents=True, exist_ok=True)
    Path("runs/train_dvae.json").write_text("{}")
    return experiments


def test_the_same_results_pass_and_are_said_to_be_the_same_bytes(project, capsys):
    assert command() == 0
    said = capsys.readouterr().out
    assert "outs: 9 the same bytes\n" in said and "metrics: 15 equal\n" in said and "PASSED" in said
    assert "valid/loss_0" not in said
    assert command("--all") == 0
    assert "train_dvae:valid/loss_0" in capsys.readouterr().out


def test_a_value_within_the_spread_passes_and_its_other_bytes_are_told(project, capsys):
    assert statistics.stdev([4.9, 5.0, 5.1]) == pytest.approx(0.1)
    write_metrics(project, valid__loss_0=5.24)
    project.lock["stages"]["train_dvae"]["outs"][0]["md5"] = md5("other weights")
    project.write_lock()
    assert command() == 0
    said = capsys.readouterr().out
    assert "2 other bytes" in said and "other bytes          models/dvae" in said
    assert "1 within the seeds' spread" in said and "14 equal" in said


def test_a_planted_regression_is_named_and_fails(project, capsys):
    write_metrics(project, valid__loss_2=9.5)
    assert command("--json", "found.json") == 1
    said = capsys.readouterr().out
    assert "1 outside" in said and "FAILED: 1 outside or missing" in said
    [row] = [line for line in said.splitlines() if line.strip().startswith("train_dvae:valid")]
    assert row.split()[0] == "train_dvae:valid/loss_2" and "outside: further than 3 seeds explain" in row
    written = json.loads(Path("found.json").read_text())
    assert not written["passed"] and written["schema"] == 1 and written["metrics"]["counts"][OUTSIDE] == 1
    [entry] = [entry for entry in written["metrics"]["entries"] if entry["state"] == OUTSIDE]
    assert (entry["key"], entry["here"], entry["there"]) == ("train_dvae:valid/loss_2", 9.5, 7.0)
    assert entry["seeds"]["mean"] == pytest.approx(7.0) and entry["seeds"]["num_seeds"] == 3


def test_a_regression_of_more_than_three_deviations_is_named_and_fails_where_that_is_asked_for(project, capsys):
    # of equal relative variances a metric's own counts for two degrees of freedom of six: 3.46 = 3 (1 + 1/3)^0.5
    spread = verify("HEAD").metrics
    limits = next(metric.limits for metric in spread if metric.key == "train_dvae:valid/loss_5")
    write_metrics(project, valid__loss_5=10.0 + 3.6 * limits.spread)
    assert command() == 0
    said = capsys.readouterr().out
    assert "train_dvae:valid/loss_5" in said and "beyond: as far as one of so many numbers from 3 seeds may lie" in said
    assert "+3.6 s" in said
    assert command("--strict") == 1
    write_metrics(project, valid__loss_5=10.0 + 3.4 * limits.spread)
    assert command("--strict") == 0


def test_many_seeds_need_no_allowance_beyond_their_own_deviation(project):
    shifts = [-0.1, 0.1] * 100
    write_seeds({seed: {"train_dvae:valid/loss_0": 5 + shift} for seed, shift in enumerate([0.0, *shifts])})
    project.commit("many seeds")
    write_metrics(project, valid__loss_0=5.32)
    states = {metric.key: metric.state for metric in verify("HEAD").metrics}
    assert states["train_dvae:valid/loss_0"] == OUTSIDE


@pytest.mark.parametrize(("changes", "code"), [({"rows__total": 8}, 1), ({"rows__total": 7}, 0)])
def test_counts_must_be_equal(project, capsys, changes, code):
    write_metrics(project, **changes)
    assert command() == code
    assert ("a count, which must be equal" in capsys.readouterr().out) == bool(code)


def test_without_seeds_numbers_may_move_by_two_percent(project, capsys):
    project.git("rm", "--quiet", "reports/metrics/seeds.csv")
    project.commit("no seeds")
    write_metrics(project, valid__loss_0=5.09)
    assert command() == 0
    assert "neither side has reports/metrics/seeds.csv" in capsys.readouterr().out
    write_metrics(project, valid__loss_0=5.11)
    assert command() == 1
    assert "spread unknown: may move by 0.1" in capsys.readouterr().out


def test_seeds_of_other_results_are_not_taken_for_these(project, capsys):
    write_metrics(project, valid__loss_0=6.0)
    project.commit("a new default, its seeds not yet run")
    assert command() == 0
    assert "was measured on other results than it has now (1 of them)" in capsys.readouterr().out
    write_metrics(project, valid__loss_0=6.2)
    assert command() == 1  # 2 % of 6 are 0.12


def test_what_is_missing_on_one_side_fails(project, capsys):
    Path("reports/metrics/train_prior.json").unlink()
    shutil.rmtree("models/prior")
    assert command() == 1
    said = capsys.readouterr().out
    assert "missing on one side  models/prior" in said and "train_prior:valid/image_loss" in said
    assert "NOTE: reports/metrics/train_prior.json of workspace is missing" in said
    Path("reports/metrics/train_dvae.json").write_text(json.dumps(LOSSES))
    assert command() == 1
    assert "train_dvae.json of workspace is not what train_dvae wrote" in capsys.readouterr().out


def test_other_parameters_are_told(project, capsys):
    project.set(seed=1)
    assert command() == 0
    assert "NOTE: params.yaml differs: seed: 0 -> 1" in capsys.readouterr().out


def test_a_folder_can_be_compared_with(project, tmp_path, capsys):
    other = tmp_path / "other run"
    shutil.copytree(project.root, other, ignore=shutil.ignore_patterns("other run"))
    assert command("--against", str(other)) == 0
    assert "15 equal" in capsys.readouterr().out
    text = (other / "reports/metrics/evaluate-coco.csv").read_text()
    (other / "reports/metrics/evaluate-coco.csv").write_text(text.replace("fid,", "kid,"))
    assert command("--against", str(other)) == 1
    assert "evaluate-coco.csv:fid|dalle|blur=0|reference=all|candidates=1" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--against", "v99"], "'v99' is neither an experiment nor a git revision"),
        (["--against", "models"], "--against models: this folder has no dvc.lock"),
    ],
)
def test_mistakes_are_one_line(project, capsys, arguments, said):
    assert command(*arguments) == 2
    error = capsys.readouterr().err
    assert error.startswith("ERROR dalle verify:") and said in error and error.count("\n") == 1


def test_a_clone_in_which_nothing_ran_is_not_called_the_same(project, capsys):
    Path("runs/train_dvae.json").unlink()
    assert command() == 2
    assert "nothing has run in this folder" in capsys.readouterr().err
