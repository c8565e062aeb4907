"""A few kills of every kind; `make torture` is the long form."""

import pytest
from project_copies import copy_of
from torture import WAYS, Torture

pytestmark = pytest.mark.pipeline
KILLS = {
    "train_prior": list(WAYS),
    "train_dvae": ["stage", "checkpoint"],
    "train_detector": ["checkpoint", "terminate"],
    "train_clip": ["checkpoint", "terminate"],
    "sample@coco": ["dvc", "stage"],
}


def test_killed_in_every_way_a_stage_ends_as_if_it_had_not_been(finished, tmp_path):
    torture = Torture(copy_of(finished, tmp_path / "project"), seed=0)
    for address, ways in KILLS.items():
        torture.stage(address, ways)
    assert set(torture.toll.harm().values()) == {0}, torture.toll
    assert sum(torture.toll.kills.values()) == sum(map(len, KILLS.values())), f"every kill hit a living stage: {torture.toll}"
