"""What tracking costs: a step of it, beside MLflow's own client, and the smoke pipeline with and without it.

`make bench` runs it and writes reports/benchmarks/tracking.json: ratios of times of one run, on the machine at hand.
"""

import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "pipeline"))
from project_copies import copy_project  # noqa: E402

from harness.journal import Journal  # noqa: E402
from harness.tracker import RunFacts  # noqa: E402
from harness.tracking import connect  # noqa: E402

NUM_KEYS = 8  # metrics a step
STEPS = {"journal": 2000, "client": 60}
PAIRS = 3


def step_seconds(log: Callable[[int, dict[str, float]], None], steps: int) -> float:
    """The mean over `steps` of one call with `NUM_KEYS` metrics."""
    metrics = {f"train/metric_{index}": 1.0 / (index + 1) for index in range(NUM_KEYS)}
    start = time.perf_counter()
    for step in range(steps):
        log(step, metrics)
    return (time.perf_counter() - start) / steps


def a_step(folder: Path) -> dict[str, float]:
    """Milliseconds a step: our journal, and one `log_batch` of MLflow's client into SQLite (WAL, as we set it)."""
    from mlflow.entities import Metric

    client = connect(folder)
    run = client.create_run(client.create_experiment("bench")).info.run_id
    facts = RunFacts(
        run="0" * 32, attempt=0, stage="bench", name="bench", experiment="bench",
        params={}, tags={}, upstream={}, datasets=[], system_metrics=False,
    )  # fmt: skip
    journal = Journal(folder / ".tracking/bench.jsonl", facts, "")

    def by_client(step: int, metrics: dict[str, float]) -> None:
        now = int(time.time() * 1000)
        client.log_batch(run, metrics=[Metric(key, value, now, step) for key, value in metrics.items()])

    ours, theirs = step_seconds(journal.metrics, STEPS["journal"]), step_seconds(by_client, STEPS["client"])
    return {"step/journal_ms": 1e3 * ours, "step/client_ms": 1e3 * theirs, "step/ratio": theirs / ours}


def pipeline_seconds(folder: Path, tracking: bool) -> float:
    project = copy_project(folder)
    if not tracking:
        project.edit("tracking: true", "tracking: false")
    start = time.perf_counter()
    done = project.run("dvc", "repro", OMP_WAIT_POLICY="PASSIVE")
    assert done.returncode == 0, done.stderr[-2000:]
    seconds = time.perf_counter() - start
    assert project.run("harness.cli", "upload").returncode == 0
    return seconds


def the_pipeline(folder: Path) -> dict[str, float]:
    """Seconds of the smoke pipeline with tracking on and off, in pairs side by side in time; medians over the pairs."""
    on, off = [], []
    for pair in range(PAIRS):
        order = ((on, True), (off, False))
        for times, tracking in order if pair % 2 == 0 else reversed(order):
            times.append(pipeline_seconds(folder / f"{pair}-{tracking}", tracking))
            print(f"smoke pipeline, tracking {'on' if tracking else 'off'}: {times[-1]:.1f} s", flush=True)
    overheads = [with_it / without - 1 for with_it, without in zip(on, off, strict=True)]
    return {
        "pipeline/on_seconds": statistics.median(on),
        "pipeline/off_seconds": statistics.median(off),
        "pipeline/overhead": statistics.median(overheads),
        "pipeline/overhead_low": min(overheads),
        "pipeline/overhead_high": max(overheads),
        "pipeline/pairs": PAIRS,
    }


def main() -> None:
    os.environ.pop("MLFLOW_TRACKING_URI", None)
    out = Path("reports/benchmarks/tracking.json")
    with tempfile.TemporaryDirectory() as folder:
        result = {**a_step(Path(folder)), **the_pipeline(Path(folder))}
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(json.dumps({key: float(f"{value:.4g}") for key, value in sorted(result.items())}, indent=2) + "\n")
    print(out.read_text())


if __name__ == "__main__":
    main()
