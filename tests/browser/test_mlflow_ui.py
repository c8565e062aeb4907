"""An ablation compared in MLflow's UI: what was varied and the final FID stand side by side in one table of a real browser."""

import os
import struct
from urllib.parse import urlsplit

import mlflow_table
import pytest
from mlflow_table import COLUMNS, INSTALL, STAGE, chromium, mlflow_ui, open_table, picture, programs, requested_addresses

from harness.tracking import connect

# beta end, tau end, FID: values that no other cell of the table shows
RUNS = [("0.0", "0.0625", 171.4375), ("1.65", "0.0625", 125.71875), ("1.65", "0.5", 158.0625)]


def need_chromium() -> None:
    """Skip where there is no browser to test with; CI has one, so there its absence is an error."""
    if programs() is None:
        message = f"chromium and chromedriver are not on PATH: {INSTALL}"
        pytest.fail(message) if os.environ.get("CI") == "true" else pytest.skip(message)


@pytest.fixture(scope="module")
def logged(tmp_path_factory):
    """A database with the runs of an ablation, and one of another stage: (path, experiment id)."""
    root = tmp_path_factory.mktemp("ablation")
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        client = connect(root)
    experiment = client.create_experiment("dalle", artifact_location=(root / "mlruns").as_uri())
    for stage, (beta, tau, fid) in [*((STAGE, values) for values in RUNS), ("evaluate@cub", ("9.75", "0.25", 260.1875))]:
        run = client.create_run(experiment, run_name=stage.replace("@", ":"), tags={"dvc.stage": stage}).info.run_id
        client.log_param(run, "train_dvae.beta.end", beta)
        client.log_param(run, "train_dvae.tau.end", tau)
        client.log_param(run, "seed", "0")
        client.log_metric(run, "fid/dalle_best_of_64", fid)
        client.log_metric(run, "kid/dalle_best_of_64", 0.09)
        client.set_terminated(run, "FINISHED")
    return root / "mlflow.db", experiment


@pytest.mark.browser
def test_parameters_and_final_fid_stand_in_one_table(logged, tmp_path):
    need_chromium()
    database, experiment = logged
    with mlflow_ui(database) as address, chromium() as driver:
        table = open_table(driver, address, experiment, stage=STAGE, columns=COLUMNS)
        picture(driver, tmp_path / "table.png")
        requested = requested_addresses(driver)
    assert sorted(tuple(row[column] for column in COLUMNS) for row in table) == [(b, t, str(fid)) for b, t, fid in RUNS]
    assert {row["attributes.Run Name"] for row in table} == {"evaluate:coco"}
    header = (tmp_path / "table.png").read_bytes()[:24]
    width, height = struct.unpack(">II", header[16:24])
    assert header[:8] == b"\x89PNG\r\n\x1a\n" and width > 1000 and 100 < height < 400  # the table and not the page
    hosts = {urlsplit(url).hostname for url in requested if url.startswith(("http", "ws"))}
    assert hosts == {"127.0.0.1"}


def test_the_experiment_is_found_by_its_name(logged):
    database, experiment = logged
    assert mlflow_table.experiment_id(database, "dalle") == experiment
    with pytest.raises(ValueError, match="has no experiment 'other'"):
        mlflow_table.experiment_id(database, "other")


@pytest.mark.parametrize("ci, outcome", [("true", pytest.fail.Exception), ("", pytest.skip.Exception)])
def test_without_a_browser_only_ci_fails(monkeypatch, tmp_path, ci, outcome):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("CI", ci)
    with pytest.raises(outcome, match="apt-get install -y --no-install-recommends chromium chromium-driver"):
        need_chromium()
