"""The section `complete`: what cannot be completed is said by its key."""

from pathlib import Path

import pytest

from dalle.config import ConfigError
from harness.params import build_params, parse_yaml
from harness.presets import preset_names, preset_text

PRESETS = Path(__file__).parents[2] / "presets"


def params_of(preset: str, *assignments: str):
    return build_params(parse_yaml(preset_text(preset, list(assignments), PRESETS), preset))


@pytest.mark.parametrize(
    ("assignment", "message"),
    [
        ("complete.rows=0", "complete: rows must be at least 1, got 0"),
        ("complete.rows=8", "complete.rows must be 1 to 7, of a picture's 8 rows of tokens, got 8"),
        ("complete.candidates=0", "complete: candidates must be at least 1, got 0"),
        ("complete.temperature=0.0", "complete: temperature must be above 0"),
        ("complete.source=''", "complete: source must be miniworld, a folder with captions.jsonl, or null"),
        ("prepare_data.miniworld.panels=2", "panels: must be at least 3, one picture of each kind, got 2"),
    ],
)
def test_what_cannot_be_completed(assignment, message):
    with pytest.raises(ConfigError, match=message):
        params_of("mini", assignment)


def test_a_source_is_the_word_miniworld_a_folder_or_nothing():
    sources = {name: params_of(name).complete.source for name in preset_names(PRESETS)}
    rendered = {name for name, source in sources.items() if source == "miniworld"}
    assert rendered == {"mini", "smoke", "gpu"} and set(sources.values()) == {"miniworld", None}
    assert params_of("coco", "complete.source=external/cats").complete.source == "external/cats"


def test_half_of_a_picture_is_given_where_panels_are():
    for name in ("mini", "smoke", "gpu"):
        params = params_of(name)
        assert 2 * params.complete.rows == params.train_dvae.model(params.image_size).grid_size
