"""The same parameters give the same bytes, from nothing and in another folder, whatever is killed on the way.

One run serves both: the pipeline once more from nothing, in which some stages are killed in every way and begin again.
`make torture` is the long form of the kills.
"""

import pytest
from project_copies import Project, copy_project
from torture import WAYS, Torture, outs

pytestmark = pytest.mark.pipeline
# what is run in peace, then which stages are killed in which ways; the rest is run in peace again
KILLS = (
    (["filter_data", "train_tokenizer"], {"train_dvae": ["stage", "checkpoint"], "train_detector": ["checkpoint", "terminate"]}),
    (
        ["precompute_tokens"],
        {"train_prior": list(WAYS), "train_clip": ["checkpoint", "terminate"], "train_baseline@dfgan-coco": ["dvc", "stage"]},
    ),
)


@pytest.fixture(scope="module")
def killed(finished, tmp_path_factory) -> Torture:
    """The pipeline once more, with a checkpoint after every update, which must not matter either."""
    torture = Torture(copy_project(tmp_path_factory.mktemp("twin") / "project"), seed=0, like=finished)
    for peaceful, stages in KILLS:
        repro(torture.project, *peaceful)
        for address, ways in stages.items():
            torture.stage(address, ways)
    repro(torture.project)
    return torture


def repro(project: Project, *addresses: str) -> None:
    done = project.run("dvc", "repro", *addresses)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-3000:]


def test_two_runs_from_nothing_are_the_same_bytes(finished, killed):
    first, second = outs(finished), outs(killed.project)
    assert len(first) == 66 and {path for path in first if first[path] != second.get(path)} == set()


def test_a_finished_project_verifies_against_its_own_folder(finished):
    done = finished.run("harness.cli", "verify", "--against", str(finished.folder))
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr
    outs, metrics = (next(line for line in done.stdout.splitlines() if line.startswith(start)) for start in ("outs:", "metrics:"))
    assert outs.endswith(" the same bytes") and "," not in outs
    assert metrics.endswith(" equal") and "," not in metrics


def test_killed_in_every_way_a_stage_ends_as_if_it_had_not_been(killed):
    assert set(killed.toll.harm().values()) == {0}, killed.toll
    wanted = sum(len(ways) for _, stages in KILLS for ways in stages.values())
    assert sum(killed.toll.kills.values()) == wanted, f"every kill hit a living stage: {killed.toll}"
