"""What an experiment may call its own, in every way in which it may not."""

from toy_experiments import STAGES

from harness.freshness import Freshness
from harness.revisions import Revision, find_revisions


def stale(name: str) -> dict[str, str]:
    """The stages of a revision whose results are not its own, with the cause."""
    freshness = Freshness(find_revisions([name])[0])
    causes = {stage: freshness.why_stale(stage) for stage in STAGES}
    return {stage: cause for stage, cause in causes.items() if cause is not None}


def test_a_whole_run_is_fresh_as_experiment_revision_and_workspace(experiments):
    experiments.experiment("all", train_dvae__beta__end=0.5)
    assert [stale(name) for name in ("all", "main", "workspace")] == [{}, {}, {}]


def test_after_a_run_of_one_stage_everything_behind_it_is_the_baselines(experiments):
    experiments.experiment("dvae", "train_dvae", train_dvae__beta__end=0.5)
    cause = "train_prior last ran on another models/dvae than train_dvae made"
    assert stale("dvae") == {"train_prior": cause, "evaluate@coco": cause}


def test_a_parameter_without_a_run_and_whatever_rests_on_it(experiments):
    experiments.set(train_prior__layers=7)
    assert stale("workspace") == dict.fromkeys(
        ("train_prior", "evaluate@coco"), "train_prior last ran with train_prior.layers = 2"
    )
    experiments.set(train_prior__layers=2, train_prior__heads=4, run__device="cuda")  # a new key; `run` is nobody's
    assert stale("workspace")["train_prior"] == "train_prior last ran with train_prior.heads = nothing"


def test_one_and_true_are_two_values_and_one_and_one_point_zero_are_not(experiments):
    experiments.set(seed=False)
    assert "seed = 0" in stale("workspace")["prepare_data"]
    experiments.set(seed=0.0)
    assert stale("workspace") == {}


def test_a_result_file_must_be_the_one_that_the_stage_wrote(experiments):
    path = "reports/metrics/train_dvae.json"
    freshness = Freshness(Revision("workspace", None))
    assert b"psnr" in freshness.own_file("train_dvae", path)
    (experiments.root / path).write_text("{}")
    assert freshness.own_file("train_dvae", path) == f"{path} is not what train_dvae wrote"
    (experiments.root / path).unlink()
    assert freshness.own_file("train_dvae", path) == f"train_dvae left no {path}"
    assert stale("workspace") == {}  # what others read of the stage is as it was


def test_a_stage_that_never_ran(experiments):
    del experiments.lock["stages"]["train_prior"]
    experiments.write_lock()
    assert stale("workspace")["train_prior"] == "train_prior has not run"


def test_another_folder_around_the_same_file_is_told_by_history(experiments):
    """coco.parquet lies inside data/prepared: its hash cannot be compared with the folder's."""
    experiments.experiment("birds", "prepare_data", "train_dvae", "train_prior", prepare_data__birds=9)
    assert set(stale("birds")) == {"evaluate@coco"}  # it ran on another prior, too
    models = {out["path"]: out for stage in ("train_dvae", "train_prior") for out in experiments.lock["stages"][stage]["outs"]}
    experiments.set(prepare_data__birds=9)
    experiments.run("prepare_data", "train_dvae")
    for out in experiments.lock["stages"]["train_dvae"]["outs"]:
        out["md5"] = models[out["path"]]["md5"]  # the same bytes from other data: nothing but the folder tells
    experiments.write_lock()
    cause = "evaluate@coco last ran before prepare_data made this data/prepared"
    assert stale("workspace") == {"evaluate@coco": cause}
    experiments.keep("quiet")
    assert stale("quiet") == {"evaluate@coco": cause}


def test_history_goes_back_over_commits_that_left_the_run_alone(experiments):
    dvae = experiments.lock["stages"]["train_dvae"]["outs"][0]["md5"]
    experiments.set(prepare_data__birds=9)
    experiments.run("prepare_data", "train_dvae")
    experiments.lock["stages"]["train_dvae"]["outs"][0]["md5"] = dvae
    experiments.write_lock()
    experiments.commit("only the first stages")
    experiments.lock["schema"] = "2.00"  # another commit of dvc.lock, the same stages
    experiments.write_lock()
    experiments.commit("nothing that matters")
    assert "data/prepared" in stale("main")["evaluate@coco"]
    experiments.set(evaluate__features="inception")
    experiments.run("evaluate@coco")  # now it has seen the new folder
    experiments.commit("the rest")
    assert stale("main") == {}


def test_runs_of_different_code_are_not_one_result(experiments):
    (experiments.root / "code.py").write_text("2\n")
    before = experiments.lock["stages"]["train_dvae"]["outs"][0]["md5"]
    experiments.run("train_dvae")
    experiments.lock["stages"]["train_dvae"]["outs"][0]["md5"] = before
    experiments.write_lock()
    causes = stale("workspace")
    assert causes["train_dvae"] == "prepare_data and train_dvae last ran with different code.py"
    assert "prepare_data" not in causes and "evaluate@coco" in causes
    experiments.run(*STAGES)
    assert stale("workspace") == {}


def test_an_output_without_a_hash_vouches_for_nothing(experiments):
    del experiments.lock["stages"]["train_dvae"]["outs"][0]["md5"]
    del experiments.lock["stages"]["train_prior"]["deps"][1]["md5"]
    experiments.write_lock()
    assert "another models/dvae" in stale("workspace")["train_prior"]
