"""Where corpora come from and which captions are drawn for: what cannot be is said by its key."""

from pathlib import Path

import pytest

from dalle.config import ConfigError
from harness.params import build_params, parse_yaml
from harness.presets import preset_text

PRESETS = Path(__file__).parents[2] / "presets"


def params_of(*assignments: str):
    return build_params(parse_yaml(preset_text("mini", list(assignments), PRESETS), "mini"))


@pytest.mark.parametrize(
    ("assignment", "message"),
    [
        ("prepare_data.coco_year=2015", "prepare_data.coco_year: 2015 is not one of 2014, 2017"),
        ("prepare_data.coco_year=2017", "prepare_data: coco_year is 2017, but coco is miniworld, which has the layout of 2014"),
        ("prepare_data.cub_split=classes", "prepare_data.cub_split: 'classes' is not one of testclasses, filenames"),
        ("prepare_data.cub_split=filenames", "prepare_data: cub_split is filenames, but cub is miniworld"),
        ("prepare_data.cub_crop=square", "prepare_data.cub_crop: 'square' is not one of image, box"),
        ("prepare_data.folder_evaluated=1.0", "prepare_data: folder_evaluated must be between 0 and 1, got 1.0"),
        ("sample.captions.coco=all", "sample.captions.coco: 'all' is not one of one_an_image, pool, unique"),
        ("sample.num_captions=1", "sample: num_captions must be at least 2, got 1"),
    ],
)
def test_what_cannot_be_read_or_drawn(assignment, message):
    with pytest.raises(ConfigError, match=message):
        params_of(assignment)


@pytest.mark.parametrize(
    ("assignments", "sources"),
    [
        ((), {"web": "miniworld", "coco": "miniworld", "cub": "miniworld", "panels": "miniworld"}),
        (("prepare_data.web=coco", "complete.source=null"), {"coco": "miniworld", "cub": "miniworld"}),
        (
            ("prepare_data.web=a", "domains=[cub]", "human_eval.domain=cub", "complete.source=b"),
            {"web": "a", "cub": "miniworld", "panels": "b"},
        ),
    ],
)
def test_what_is_read_and_from_where(assignments, sources):
    assert params_of(*assignments).sources == sources
