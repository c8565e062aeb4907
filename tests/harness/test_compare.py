"""`dalle compare`: what is compared, what is not shown, and that the same experiments always give the same files."""

import csv
import shutil
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
from PIL import Image

from harness import cli
from harness.comparison import compare
from harness.comparison_figure import _panels
from harness.comparison_words import cautions
from harness.revisions import find_revisions, natural_order
from harness.tracking import connect
from harness.variants import variants_of_revisions, variants_of_runs


def variants(*names):
    return variants_of_revisions(find_revisions(names))


def table(comparison):
    columns = comparison.columns
    return {variant.name: [comparison.value(variant, column) for column in columns] for variant in comparison.variants}


def dalle(*arguments):
    with pytest.raises(SystemExit) as stop:
        cli.main(["compare", *arguments])
    return stop.value.code


def test_one_numeric_parameter_is_the_axis_and_orders_the_variants(experiments):
    for end in (6.0, 0.5):
        experiments.experiment(f"beta{end}", train_dvae__beta__end=end)
    found = compare(variants())
    assert (found.axis, found.is_numeric, found.differing) == ("train_dvae.beta.end", True, ("train_dvae.beta.end",))
    assert [(variant.name, variant.is_baseline) for variant in found.variants] == [
        ("beta0.5", False), ("workspace", True), ("beta6.0", False),
    ]  # fmt: skip
    shown = [column.address for column in found.columns]
    assert shown == [
        "train_dvae:valid/psnr_db", "train_dvae:valid/elbo_true", "train_dvae:valid/elbo_gap",
        "train_prior:valid/image_loss", "evaluate-coco:fid/dalle_best_of_max",
    ]  # fmt: skip
    assert table(found)["beta6.0"] == pytest.approx([22, 2.5, 0.06, 2.2, 70])
    stages = [(stage, bool(panel.traces)) for stage, panel in _panels(found)]
    assert stages == [
        ("train_dvae", False), ("train_prior", False), ("evaluate-coco", False),
        ("train_dvae", True), ("train_prior", True), ("evaluate-coco", True),
    ]  # fmt: skip
    fid = next(panel for stage, panel in _panels(found) if stage == "evaluate-coco")
    assert [(mark.value, mark.low, mark.high) for mark in fid.marks][-1] == (70, 69, 71)


def test_stale_results_are_dashes_with_one_reason_and_in_no_panel(experiments, capsys):
    for end in (0.5, 3.0):
        experiments.experiment(f"beta{end}", "train_dvae", train_dvae__beta__end=end)
    assert dalle() == 0
    lines = capsys.readouterr().out.splitlines()
    cells = {line.split()[0]: line.split() for line in lines if line.startswith(("beta", "workspace"))}
    assert cells["beta0.5"] == ["beta0.5", "0.5", "27.50", "0.0050", "—", "—"]
    assert cells["workspace"][-2:] == ["2.650", "74.5"]
    assert [line for line in lines if line.startswith("— ")] == [
        "— train_prior, evaluate-coco of beta0.5, beta3.0: train_prior last ran on another models/dvae than train_dvae made."
    ]
    assert {stage for stage, _ in _panels(compare(variants()))} == {"train_dvae"}


def test_words_are_categories_in_the_order_given_after_the_baseline(experiments):
    for name in ("vq", "none"):
        experiments.experiment(name, train_dvae__quantizer=name, train_dvae__beta__end=1.5)
    found = compare(variants("vq", "none", "workspace"), ["train_dvae:valid/psnr_db"])
    assert (found.axis, found.is_numeric) == ("train_dvae.quantizer", False)
    assert [variant.name for variant in found.variants] == ["workspace", "vq", "none"]


def test_with_several_parameters_the_names_are_the_axis_unless_one_is_chosen(experiments):
    experiments.experiment("big", train_prior__layers=8, train_dvae__beta__end=0.5)
    experiments.experiment("small", train_prior__layers=1)
    found = compare(variants("big", "small"))
    assert found.axis is None and set(found.differing) == {"train_prior.layers", "train_dvae.beta.end"}
    assert [variant.is_baseline for variant in found.variants] == [False, False]
    chosen = compare(variants("big", "small"), param="train_prior.layers")
    assert chosen.axis == "train_prior.layers" and [variant.name for variant in chosen.variants] == ["small", "big"]
    assert "Not only train_prior.layers differs, but also train_dvae.beta.end." in cautions(chosen)
    assert any("over different codes" in line for line in cautions(found))


def test_what_changes_no_result_is_no_difference(experiments):
    experiments.experiment("gpu", run__device="cuda", seed=1)
    assert compare(variants()).differing == ("seed",)


def test_scores_under_different_features_share_no_panel(experiments):
    experiments.experiment("inception", "evaluate@coco", evaluate__features="inception", train_prior__layers=2)
    experiments.set(evaluate__features="inception")
    found = compare(variants("main", "inception"), ["evaluate@coco:fid/dalle_best_of_1"])
    assert any("different features" in line for line in cautions(found)) and _panels(found) == []


def test_the_metric_of_a_stage_with_domains_and_a_derived_one(experiments):
    experiments.experiment("beta0", train_dvae__beta__end=0.5)
    found = compare(variants(), ["evaluate:fid/dalle_best_of_2", "train_dvae:valid/elbo_gap"])
    assert [column.stage for column in found.columns] == ["evaluate-coco", "train_dvae"]
    assert table(found)["beta0"] == pytest.approx([77.5, 0.005])


def test_after_a_run_in_place_the_workspace_is_the_experiment_and_head_the_baseline(experiments):
    experiments.experiment("beta0", train_dvae__beta__end=0.5)
    experiments.git("restore", "--source", experiments.git("for-each-ref", "--format=%(refname)", "refs/exps"), ".")
    assert [variant.name for variant in variants()] == ["HEAD", "beta0"]


def test_one_name_on_two_baselines_and_other_refs_of_dvc(experiments):
    first = experiments.git("rev-parse", "HEAD")
    experiments.experiment("beta", train_dvae__beta__end=0.5)
    second = experiments.commit("next")
    experiments.experiment("beta", train_dvae__beta__end=0.25)
    experiments.git("update-ref", "refs/exps/exec/EXEC_HEAD", "HEAD")
    experiments.git("update-ref", "refs/exps/stash", "HEAD")
    names = {f"beta@{first[:7]}", f"beta@{second[:7]}"}
    assert {variant.name for variant in variants()} == {"workspace", *names}
    with pytest.raises(ValueError, match=f"did you mean .*beta@{first[:7]}"):
        variants("beta")
    assert sorted(["b10", "b9", "a"], key=natural_order) == ["a", "b9", "b10"]


def test_a_project_in_a_subfolder_of_its_repository(experiments, monkeypatch):
    for path in ("params.yaml", "dvc.lock", "reports"):
        (experiments.root / "inner").mkdir(exist_ok=True)
        experiments.git("mv", path, f"inner/{path}")
    experiments.commit("moved")
    monkeypatch.chdir(experiments.root / "inner")
    assert list(variants("HEAD")[0].metrics["train_dvae"]) == ["valid/psnr_db", "valid/elbo_true", "valid/elbo_relaxed"]


def test_the_folder_has_three_files_and_the_same_bytes_each_time(experiments, capsys):
    for end in (0.5, 6.0):
        experiments.experiment(f"beta{end}", "train_dvae", train_dvae__beta__end=end)
    out, bytes_of = Path("reports/ablations/beta"), []
    for _ in range(2):
        assert dalle("--out", str(out), "--metric", "train_dvae:valid/psnr_db", "--metric", "train_prior:valid/image_loss") == 0
        bytes_of.append({path.name: path.read_bytes() for path in out.iterdir()})
    assert bytes_of[0] == bytes_of[1] and set(bytes_of[0]) == {"table.csv", "figure.png", "README.md"}
    assert [path.name for path in out.parent.iterdir()] == ["beta"]
    with Image.open(out / "figure.png") as picture:
        assert picture.width == 1800
    frame = pd.read_csv(out / "table.csv")
    assert frame["train_dvae:valid/psnr_db"].tolist() == [27.5, 26.5, 22.0]
    assert frame["train_prior:valid/image_loss"].isna().tolist() == [True, False, True]
    assert frame["stale"].fillna("").tolist() == ["train_prior", "", "train_prior"]
    page = (out / "README.md").read_text()
    assert (
        "dalle compare workspace beta0.5 beta6.0 --metric train_dvae:valid/psnr_db --metric train_prior:valid/image_loss "
        "--out reports/ablations/beta\n" in page
    )
    assert "; workspace: the working directory; beta6.0: commit " in page and frame["place"][0].startswith("commit ")
    assert "train\\_dvae: 60 updates" in page and "last ran on another models/dvae" in page and "| — |" in page


def test_names_and_values_do_not_break_tables(experiments):
    experiments.experiment('a"b,c', train_dvae__quantizer="x|y,*z*")
    assert dalle("--out", "out") == 0
    rows = list(csv.reader(Path("out/table.csv").open(newline="")))
    assert ['a"b,c', "false", "x|y,*z*"] in [[row[0], *row[2:4]] for row in rows] and len({len(row) for row in rows}) == 1
    lines = [line for line in Path("out/README.md").read_text().splitlines() if line.startswith("|")]
    assert any("x\\|y,\\*z\\*" in line for line in lines)
    assert len({line.replace("\\|", "").count("|") for line in lines}) == 1


def test_the_presets_and_many_parameters_are_told_in_words(experiments, capsys):
    experiments.set(more={f"p{index}": 1 for index in range(8)})
    Path("presets").mkdir()
    Path("presets/mini.yaml").write_text(Path("params.yaml").read_text())
    experiments.experiment("many", more={f"p{index}": 2 for index in range(8)})
    assert dalle("workspace", "many", "--out", "out") == 0
    assert "2 more parameters differ (table.csv has them): more.p6, more.p7." in capsys.readouterr().out
    assert "more.p7" in Path("out/table.csv").read_text()
    assert "workspace: preset mini but for 8 parameters" in Path("out/README.md").read_text()


def test_a_folder_with_other_files_is_left_alone(experiments, capsys):
    experiments.experiment("beta0", train_dvae__beta__end=0.5)
    assert dalle("--out", "reports") == 2
    assert capsys.readouterr().err == "ERROR dalle compare: --out reports: it holds curves; name a folder of its own\n"
    assert Path("reports/metrics/train_dvae.json").is_file()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["bata0"], "'bata0' is neither an experiment nor a git revision nor 'workspace' (did you mean beta0?)"),
        (["beta0"], "only beta0 is there: a comparison needs two"),
        (["empty", "main"], "empty has no params.yaml"),
        (["unrun", "main"], "unrun has no dvc.lock"),
        (["main", "workspace"], "nothing differs: main, workspace have the same parameters and the same results"),
        (["--metric", "psnr"], "--metric psnr: expected STAGE:KEY"),
        (["--metric", "train_dave:x"], "no stage is called 'train_dave' (did you mean train_dvae?)"),
        (["--metric", "train_dvae:valid/psnr"], "nobody has it (did you mean valid/psnr_db"),
        (["--param", "train_dvae.beta"], "no such parameter (did you mean train_dvae.beta.end"),
        (["--param", "seed"], "--param seed: it is 0 everywhere (what differs: train_dvae.beta.end)"),
        (["main", "--runs", "train_dvae"], "--runs compares all finished runs of train_dvae: leave out main"),
        (["conflict", "main"], "conflict:dvc.lock, line 3: not valid YAML"),
    ],
)
def test_what_cannot_be_compared_is_said_in_one_line(experiments, capsys, arguments, message):
    experiments.experiment("beta0", train_dvae__beta__end=0.5)
    for branch, lost in (("unrun", ["dvc.lock"]), ("empty", ["dvc.lock", "params.yaml"])):
        experiments.git("checkout", "--quiet", "-b", branch, "main")
        experiments.git("rm", "--quiet", *lost)
        experiments.commit(branch)
    experiments.git("checkout", "--quiet", "-b", "conflict", "main")
    Path("dvc.lock").write_text("schema: '2.0'\n<<<<<<< HEAD: {\n")
    experiments.commit("conflict")
    experiments.git("checkout", "--quiet", "main")
    assert dalle(*arguments) == 2
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1


def test_without_experiments_or_without_git(experiments, tmp_path_factory, monkeypatch, capsys):
    assert dalle() == 2 and "there are no experiments yet" in capsys.readouterr().err
    monkeypatch.chdir(tmp_path_factory.mktemp("bare"))
    assert dalle() == 2 and "not in a git repository" in capsys.readouterr().err


def test_runs_of_mlflow_are_numbered_by_age(monkeypatch):
    runs = [
        {"run_id": str(end), "name": "train_dvae", "inputs": {"data/rows": str(end), "code": "1"},
         "params": {"train_dvae.beta.end": str(end)}, "metrics": {"valid/psnr_db": 28 - end, "throughput/images_per_second": end}}
        for end in (0.5, 1.5)
    ]  # fmt: skip
    monkeypatch.setattr("harness.variants.finished_runs", lambda client, experiment, stage: runs)
    monkeypatch.setattr("harness.variants.metric_history", lambda client, run_id, key: {19: 20.0, 39: 20 + float(run_id)})
    workspace = {"train_dvae": {"beta": {"end": 1.5}}, "seed": 0}
    found = compare(variants_of_runs(None, "toy", "train_dvae", workspace))
    assert [variant.name for variant in found.variants] == ["train_dvae 1", "train_dvae 2"]
    assert [variant.is_baseline for variant in found.variants] == [False, True]
    assert (found.axis, found.is_numeric) == ("train_dvae.beta.end", True)
    assert [column.key for column in found.columns] == ["valid/psnr_db"]
    assert cautions(found) == ["The runs read different data/rows: not only the parameters shown tell them apart."]
    assert found.variants[0].curves["train_dvae"]["valid/psnr_db"].tolist() == [20, 20.5]


def test_finished_runs_are_read_from_mlflow_itself(tmp_path, empty_database, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    for name in ("MLFLOW_TRACKING_URI", "DVC_ROOT"):
        monkeypatch.delenv(name, raising=False)
    shutil.copy(empty_database, tmp_path / "mlflow.db")
    Path("params.yaml").write_text("run: {experiment: toy}\ntrain: {rate: 0.5, kind: vq}\n")
    client = connect(tmp_path)
    experiment = client.create_experiment("toy", artifact_location=(tmp_path / "mlruns").as_uri())
    made = [(0.5, "train", "FINISHED"), (2, "train", "FINISHED"), (9, "train", "FAILED"), (9, "x", "FINISHED")]
    for age, (rate, stage, status) in enumerate(made):
        run = client.create_run(experiment, start_time=age, run_name=f"rate {rate}", tags={"dvc.stage": stage}).info.run_id
        client.log_param(run, "train.rate", rate)
        client.log_param(run, "train.kind", "vq")
        for step in (9, 19):
            client.log_metric(run, "valid/loss", rate - step / 100, step=step)
        client.set_terminated(run, status)
    assert dalle("--runs", "train", "--out", "out") == 0
    cells = [line.split() for line in capsys.readouterr().out.splitlines() if line.startswith("rate")]
    assert cells == [["rate", "0.5", "(baseline)", "0.5", "0.31"], ["rate", "2", "2", "1.81"]]
    page = Path("out/README.md").read_text()
    assert "dalle compare --runs train --out out" in page and run not in page
    assert dalle("--runs", "sample@coco") == 2
    assert "MLflow's 'toy' has no finished run of stage 'sample@coco'" in capsys.readouterr().err


STAGE = """\
import json, sys
from pathlib import Path
name, inputs, output = sys.argv[1:]
params = Path("params.yaml").read_text()
made = (Path(inputs).read_text() if inputs != "-" else "") + [line for line in params.splitlines() if line.startswith(name)][0]
Path(output).parent.mkdir(exist_ok=True)
Path(output).write_text(made)
metrics = Path("reports/metrics", name + ".json")
metrics.parent.mkdir(parents=True, exist_ok=True)
metrics.write_text(json.dumps({"valid/length": len(made), "valid/loss": float(made.split()[-1].rstrip("}"))}))
"""
PIPELINE = """\
stages:
  train_dvae:
    cmd: {python} stage.py train_dvae - models/dvae
    deps: [stage.py]
    params: [train_dvae]
    outs: [models/dvae]
    metrics: [reports/metrics/train_dvae.json: {{cache: false}}]
  train_prior:
    cmd: {python} stage.py train_prior models/dvae models/prior
    deps: [stage.py, models/dvae]
    params: [train_prior]
    outs: [models/prior]
    metrics: [reports/metrics/train_prior.json: {{cache: false}}]
"""


def test_what_dvc_itself_leaves_is_what_is_read(tmp_path, monkeypatch):
    """`dvc exp run` for real: an experiment of the whole pipeline, and one of its first stage only."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DVC_NO_ANALYTICS", "1")
    for name in ("DVC_ROOT", "DVC_EXP_NAME", "DVC_STAGE"):
        monkeypatch.delenv(name, raising=False)
    Path("stage.py").write_text(STAGE)
    Path("params.yaml").write_text("train_dvae: {beta: 1.5}\ntrain_prior: {layers: 2}\n")
    Path("dvc.yaml").write_text(PIPELINE.format(python=sys.executable))
    Path(".gitignore").write_text("/models/\n")

    def call(*command):
        subprocess.run(command, check=True, capture_output=True)

    def dvc(*arguments):
        call(sys.executable, "-m", "dvc", *arguments)

    call("git", "init", "--quiet")
    for setting in ("user.name", "user.email"):
        call("git", "config", setting, "t@t")
    dvc("init", "--quiet")
    dvc("repro", "--quiet")
    call("git", "add", "--all")
    call("git", "commit", "--quiet", "--message", "baseline")
    dvc("exp", "run", "--quiet", "--name", "whole", "--set-param", "train_dvae.beta=3e-05")
    call("git", "reset", "--quiet", "--hard")
    dvc("exp", "run", "--quiet", "--name", "first", "--set-param", "train_dvae.beta=6.5", "train_dvae")
    found = compare(variants())  # the second has left the workspace as it is itself, so HEAD stands for the baseline
    assert [variant.name for variant in found.variants] == ["whole", "HEAD", "first"]
    assert (found.axis, found.is_numeric) == ("train_dvae.beta", True)
    shown = {column.address: [found.value(variant, column) for variant in found.variants] for column in found.columns}
    assert shown["train_dvae:valid/loss"] == [3e-05, 1.5, 6.5]
    assert shown["train_prior:valid/loss"] == [2, 2, None]
    assert found.left_out() == ["train_prior of first: train_prior last ran on another models/dvae than train_dvae made"]
