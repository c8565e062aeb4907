from dataclasses import dataclass
from pathlib import Path

import pytest

from harness import cli
from harness.params import read_yaml
from harness.presets import preset_text

MINI = """\
# the default: a quarter of an hour on two cores

seed: 0              # of everything
run: {experiment: dalle, threads: 0}
data:
  # where the pairs are
  folder: data/web   # as opened from the root
  rate: 1.0e-4
  note:
train:
  updates: 2000      # enough
  schedule: {shape: cosine, start: 1.0, end: 0.0625}   # tau
  pattern: [row, col, row, conv]   # of attention
  sweep:
    - 1   # no reranking
    - 2
  # the last comment
"""

SMOKE = """\
# seconds: does it run at all
# (second line)
train:
  updates: 20
  schedule:
    end: 5.0e-1
  pattern: [row]
  sweep: [1]
"""


@dataclass(frozen=True, kw_only=True)
class Run:
    experiment: str
    threads: int


@dataclass(frozen=True, kw_only=True)
class Data:
    folder: str
    rate: float
    note: str | None


@dataclass(frozen=True, kw_only=True)
class Schedule:
    shape: str
    start: float
    end: float


@dataclass(frozen=True, kw_only=True)
class Train:
    updates: int
    schedule: Schedule
    pattern: tuple[str, ...]
    sweep: tuple[int, ...]

    def __post_init__(self) -> None:
        if self.updates < 1:
            raise ValueError("updates must be at least 1")


@dataclass(frozen=True, kw_only=True)
class Tree:
    seed: int
    run: Run
    data: Data
    train: Train


@pytest.fixture
def folder(tmp_path, monkeypatch):
    (tmp_path / "presets").mkdir()
    (tmp_path / "presets/mini.yaml").write_text(MINI)
    (tmp_path / "presets/smoke.yaml").write_text(SMOKE)
    (tmp_path / "params.yaml").write_text(MINI)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def dalle(*arguments: str) -> int:
    with pytest.raises(SystemExit) as stop:
        cli.main(list(arguments), Tree)
    return stop.value.code


def test_a_preset_changes_its_values_and_not_one_other_character(folder, capsys):
    assert dalle("preset", "smoke") == 0
    expected = MINI.replace("2000", "20").replace("0.0625", "5.0e-1").replace("[row, col, row, conv]", "[row]")
    expected = expected.replace("- 1   # no reranking\n    - 2", "[1]")
    assert (folder / "params.yaml").read_text() == expected
    assert capsys.readouterr().out.splitlines() == [
        "params.yaml is now preset smoke",
        "  train.updates: 2000 -> 20",
        "  train.schedule.end: 0.0625 -> 0.5",
        '  train.pattern: ["row", "col", "row", "conv"] -> ["row"]',
        "  train.sweep: [1, 2] -> [1]",
    ]


def test_mini_restores_the_default_byte_for_byte(folder):
    (folder / "params.yaml").write_text("broken: [")
    assert dalle("preset", "mini") == 0
    assert (folder / "params.yaml").read_bytes() == MINI.encode()


def test_assignments_point_a_preset_at_other_data(folder):
    assert dalle("preset", "smoke", "data.folder=/big disk/coco, 2014", "data.note=café # 1", "seed=7", "data.rate=3e-05") == 0
    values = read_yaml(folder / "params.yaml")
    assert values["data"] == {"folder": "/big disk/coco, 2014", "rate": 3e-05, "note": "café"} and values["seed"] == 7
    assert "# as opened from the root" in (folder / "params.yaml").read_text()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("nosuch",), "'nosuch' is not a preset: choose one of mini, smoke"),
        (("mini", "sed=1"), "sed: params.yaml has no such key"),
        (("mini", "seed"), "'seed': expected KEY=VALUE"),
        (("mini", "seed=many"), "seed: expected a whole number, got 'many'"),
        (("mini", "train.updates=0"), "train: updates must be at least 1"),
        (("mini", "train.pattern=[row"), "not valid YAML"),
    ],
)
def test_errors_leave_params_yaml_alone(folder, capsys, arguments, message):
    assert dalle("preset", *arguments) == 2
    assert message in capsys.readouterr().err and (folder / "params.yaml").read_text() == MINI
    assert sorted(path.name for path in folder.iterdir()) == ["params.yaml", "presets"]


def test_a_preset_with_an_unknown_key_is_named(folder, capsys):
    (folder / "presets/smoke.yaml").write_text("# bad\ntrain:\n  update: 3\n")
    assert dalle("preset", "smoke") == 2
    assert "presets/smoke.yaml: train.update: params.yaml has no such key" in capsys.readouterr().err


def test_the_list_marks_the_active_preset(folder, capsys):
    dalle("preset")
    assert capsys.readouterr().out.splitlines() == [
        "* mini       the default: a quarter of an hour on two cores",
        "  smoke      seconds: does it run at all",
    ]
    dalle("preset", "smoke", "seed=5")
    capsys.readouterr()
    dalle("preset")
    lines = capsys.readouterr().out.splitlines()
    assert not any(line.startswith("*") for line in lines) and lines[-2:] == [
        "params.yaml is none of them; nearest is smoke, from which it differs in:",
        "  seed: 0 -> 5",
    ]


@pytest.mark.parametrize(
    "assignment, message",
    [
        ("train_dvae.fid_features=nothing", "train_dvae.fid_features: 'nothing' is not one of lite0, nor null"),
        ("train_prior.optim.updates=0", "train_prior.optim.updates is 0"),
        ("train_clip.optim.updates=0", "train_clip.optim.updates is 0"),
        ("train_dvae.optim.updates=0", "optim.updates is 0 and init is scratch"),
        ("train_dvae.init=external/dvae", "init is 'external/dvae', so init_sha256 must be"),
        ("train_dvae.codebook_size=1", "codebook_size must be at least 2, got 1"),
        ("train_dvae.tau.end=0", "tau must stay above 0"),
        ("image_size=50", "image_size 50 is not divisible by 8"),
    ],
)
def test_what_no_dvae_can_be_trained_with_is_refused_before_any_stage_runs(assignment, message):
    with pytest.raises(ValueError, match=message):
        preset_text("mini", [assignment], Path(__file__).parents[2] / "presets")
