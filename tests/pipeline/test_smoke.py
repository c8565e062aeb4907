"""The whole pipeline at the smoke preset, in a copy: every stage for real, and what each left behind."""

import json
import math
import sqlite3

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from project_copies import copy_of

pytestmark = pytest.mark.pipeline
STAGES = (
    "prepare_data filter_data train_detector find_overlap-coco find_overlap-cub train_tokenizer train_dvae precompute_tokens "
    "train_prior train_clip sample-coco sample-cub rerank-coco rerank-cub train_baseline-dfgan-coco train_baseline-dfgan-cub "
    "sample_baseline-dfgan-coco sample_baseline-dfgan-cub complete finetune_prior-cub sample_finetuned-cub "
    "evaluate-coco evaluate-cub human_eval tally_votes report"
).split()


def test_second_repro_runs_nothing(finished):
    again = finished.run("dvc", "repro")
    assert again.returncode == 0
    assert "Running stage" not in again.stdout
    assert "up to date" in again.stdout


def test_every_figure_shows_something(finished):
    figures = sorted((finished.folder / "reports/figures").glob("*.png"))
    page = (finished.folder / "reports/README.md").read_text()
    assert len(figures) >= 15
    for figure in figures:
        pixels = np.asarray(Image.open(figure).convert("RGB"))
        colours = np.unique(pixels.reshape(-1, 3)[::7], axis=0)
        assert len(colours) > 20, figure.name
        assert f"figures/{figure.name}" in page


def test_every_metric_is_finite(finished):
    for stage in STAGES[:-1]:
        metrics = json.loads((finished.folder / f"reports/metrics/{stage}.json").read_text())
        assert metrics
        assert all(math.isfinite(value) for value in metrics.values()), stage
    for domain in ("coco", "cub"):
        table = pd.read_csv(finished.folder / f"reports/metrics/evaluate-{domain}.csv")
        assert np.isfinite(table["value"]).all()
        assert {"fid", "inception_score", "kid", "clip_score"} <= set(table["metric"])
        tuned = {"dalle_finetuned"} if domain == "cub" else set()
        assert set(table["model"]) == {"dalle", "dvae", "real", "dfgan"} | tuned


def test_a_gan_may_bring_its_own_text_encoder(finished, tmp_path):
    """Trained before it, kept beside it, and all that its pictures need."""
    project = copy_of(finished, tmp_path / "project")
    project.edit("text_encoder: clip", "text_encoder: damsm")
    for stage in ("train_baseline", "sample_baseline"):
        assert project.stage(stage, "dfgan-coco") == 0
    model = project.folder / "models/baselines/dfgan-coco"
    assert {file.name for file in (model / "text_encoder").iterdir()} == {"config.json", "model.safetensors", "words.json"}
    assert json.loads((model / "config.json").read_text())["sentence_size"] == 32
    metrics = json.loads((project.folder / "reports/metrics/train_baseline-dfgan-coco.json").read_text())
    assert metrics["damsm/pairs"] > 1 and math.isfinite(metrics["damsm/loss"])
    assert len(list((project.folder / "rivals/coco/dfgan/images").iterdir())) == 12


def test_a_prior_that_fine_tuning_left_alone_draws_what_sample_drew(finished, tmp_path):
    """By the same random numbers, so that pictures differ by what was learnt and nothing else."""
    project = copy_of(finished, tmp_path / "project")
    project.edit("    updates: 10\n    batch_size: 16\n    shards: 2", "    updates: 0\n    batch_size: 16\n    shards: 2")
    for stage in ("finetune_prior", "sample_finetuned"):
        assert project.stage(stage, "cub") == 0
    ranking = pd.read_csv(project.folder / "reranked/cub/ranking.csv").query("candidates == 8").set_index("caption_id")
    tuned = pd.read_csv(project.folder / "rivals/cub/dalle_finetuned/samples.csv").set_index("caption_id")
    assert tuned["candidate"].to_dict() == ranking["candidate"].to_dict()
    for file in tuned["file"]:
        same = (project.folder / folder / file for folder in ("rivals/cub/dalle_finetuned", "reranked/cub"))
        assert len({path.read_bytes() for path in same}) == 1


def test_filters_find_what_was_planted(finished):
    metrics = json.loads((finished.folder / "reports/metrics/filter_data.json").read_text())
    scores = {key: value for key, value in metrics.items() if key.startswith("truth/")}
    assert len(scores) == 12
    assert min(scores.values()) >= 0.9, scores


def test_pictures_are_completed_from_their_top_and_judged(finished):
    """Every candidate of every picture; the given half is the same in all of them, as the dVAE shows it."""
    samples = pd.read_csv(finished.folder / "completions/samples.csv")
    assert samples.groupby("caption_id")["candidate"].apply(list).tolist() == [[0, 1]] * 12
    assert samples["as_asked"].isin((0, 1)).all() and samples["score"].nunique() > 12
    pictures = [np.asarray(Image.open(finished.folder / "completions" / file)).astype(int) for file in samples["file"]]
    for first, second in zip(pictures[::2], pictures[1::2], strict=True):
        assert first.shape == (32, 32, 3) and np.abs(first[:4] - second[:4]).max() <= 1
        assert np.abs(first[16:] - second[16:]).mean() > 0
    metrics = json.loads((finished.folder / "reports/metrics/complete.json").read_text())
    assert metrics["pictures/total"] == 12 and metrics["reader/accuracy"] >= 0.99 and metrics["success/real"] == 1
    assert {"success/dalle_best_of_1", "success/dalle_best_of_2_reflected", "success/dvae", "success/other_caption"} <= set(metrics)


def complete_again(project):
    """Pictures to complete are read by nothing but `complete`; what is made of them is shown by `report`."""
    before = {file: file.read_bytes() for file in (project.folder / "data/prepared").glob("*.parquet") if file.stem != "panels"}
    for stage in ("prepare_data", "complete", "report"):
        assert project.stage(stage) == 0
    assert len(before) == 3 and before == {file: file.read_bytes() for file in before}, "all other stages read what they had"


def test_nothing_to_complete_is_a_stage_without_a_figure(finished, tmp_path):
    project = copy_of(finished, tmp_path / "project")
    project.edit("  source: miniworld", "  source: null")
    complete_again(project)
    assert json.loads((project.folder / "reports/metrics/complete.json").read_text()) == {"pictures/total": 0}
    assert len((project.folder / "completions/samples.csv").read_text().splitlines()) == 1
    assert not (project.folder / "reports/figures/completion.png").exists()
    assert "completion" not in (project.folder / "reports/README.md").read_text()


def test_pictures_of_one_s_own_are_completed_and_not_judged(finished, tmp_path):
    project = copy_of(finished, tmp_path / "project")
    folder = project.folder / "external/cats"
    folder.mkdir(parents=True)
    for name in ("one.png", "two.png"):
        Image.fromarray(np.random.default_rng(0).integers(0, 256, (60, 80, 3), dtype=np.uint8)).save(folder / name)
    prompts = ("the exact same cat on the top as a sketch on the bottom", "the exact same cat on the top colored red on the bottom")
    lines = [json.dumps({"file": name, "caption": caption}) for name in ("one.png", "two.png") for caption in prompts]
    (folder / "captions.jsonl").write_text("\n".join(lines))
    project.edit("  source: miniworld", "  source: external/cats")
    complete_again(project)
    assert json.loads((project.folder / "reports/metrics/complete.json").read_text()) == {"pictures/total": 4}
    samples = pd.read_csv(project.folder / "completions/samples.csv", keep_default_na=False)
    assert samples["image_id"].tolist() == ["one.png"] * 4 + ["two.png"] * 4 and set(samples["as_asked"]) == {""}
    assert (project.folder / "reports/figures/completion.png").exists()


def test_corrupt_images_are_named_and_set_aside(finished):
    dropped = pd.read_csv(finished.folder / "data/filtered/dropped.csv").query("rule == 'undecodable'")
    truth = pd.read_parquet(finished.folder / "data/prepared/truth/web.parquet").query("junk == 'undecodable'")
    assert set(dropped["pair_id"]) == set(truth["pair_id"]) != set()
    assert dropped["detail"].str.len().min() > 0


def test_one_finished_run_a_stage(finished):
    with sqlite3.connect(finished.folder / "mlflow.db") as database:
        runs = database.execute(
            "select stage.value, r.status, run.value from runs r join tags stage on r.run_uuid = stage.run_uuid "
            "join tags run on r.run_uuid = run.run_uuid where stage.key = 'dvc.stage' and run.key = 'run'"
        ).fetchall()
    assert sorted((stage.replace("@", "-"), status) for stage, status, _ in runs) == sorted((stage, "FINISHED") for stage in STAGES)
    recorded = {json.loads((finished.folder / f"runs/{stage}.json").read_text())["run"] for stage in STAGES}
    assert recorded == {run for *_, run in runs}


def test_evaluations_stand_beside_every_parameter_they_depend_on(finished):
    """In MLflow: beta, tau and the final FID in one row, though another stage's section holds beta and tau."""
    with sqlite3.connect(finished.folder / "mlflow.db") as database:
        query = "select p.key, p.value from params p join tags t on p.run_uuid = t.run_uuid where t.value = 'evaluate@coco'"
        params = dict(database.execute(query).fetchall())
    assert params["train_dvae.beta.end"] == "1.65" and params["train_dvae.tau.end"] == "0.0625"
    assert "train_clip.optim.updates" in params and "report.columns" not in params


def test_results_hold_no_dates_and_no_run_ids(finished):
    record = json.loads((finished.folder / "runs/train_prior.json").read_text())
    for file in sorted((finished.folder / "reports").rglob("*.*")):
        assert record["run"].encode() not in file.read_bytes(), file


def test_a_figure_leads_back_to_every_run(finished):
    traced = finished.run("harness.cli", "trace", "reports/figures/best_of-coco.png")
    lines = traced.stdout.splitlines()
    stages = [line.split()[0] for line in lines[1:-1] if not line.strip().startswith("read")]
    assert traced.returncode == 0, traced.stderr
    assert stages == (
        "prepare_data filter_data train_tokenizer train_dvae precompute_tokens train_prior train_clip "
        "sample@coco rerank@coco report"
    ).split()
    assert traced.stdout.count("FINISHED") == len(stages) and lines[-1] == "parameters: those of preset smoke"
    page = (finished.folder / "reports/README.md").read_text()
    assert page.count("Where this comes from") == len(list((finished.folder / "reports/figures").glob("*.png")))
    assert "Parameters: those of preset smoke. Runs and commits: dalle trace best\\_of-coco" in page


def test_filters_that_keep_nothing(finished, tmp_path):
    project = copy_of(finished, tmp_path / "project")
    project.edit("min_words: 3", "min_words: 1000")
    process = project.run("dvc", "repro", "filter_data")
    assert process.returncode != 0
    output = process.stdout + process.stderr
    assert "no pair of 600 is left" in output and "too_short" in output
    assert not (project.folder / "data/filtered").exists()
    project.edit("min_words: 1000", "min_words: 3")
    assert project.run("dvc", "repro", "filter_data").returncode == 0
    assert (project.folder / "data/filtered/pairs.parquet").exists()
