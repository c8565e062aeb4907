"""ablation.yaml: which arms it means, and that what is wrong with it is said before anything runs."""

from pathlib import Path

import pytest

from harness.ablation_document import read_document
from harness.params import parse_yaml

DOCUMENT = """\
# What the toy is made of:
# its rate above all.
#
# Time: none.

title: The toy
target: train
base: {train.updates: 6}
groups:
  - title: rate
    param: train.rate
    values: [0, 1.0e-4, 1]
  - title: longer
    set: {train.updates: 8}
    param: train.rate
    values: [0.0, 1]
  - title: named
    arms:
      as it is: {}
      as before: {train.updates: 12}
      both: {train: {updates: 7, rate: 2}}
metrics: [train:valid/total]
sentences:
  - {says: More is more, source: sec. 1, group: rate, metric: "train:valid/total", expect: rises}
"""


@pytest.fixture
def read(project, toy_tree):
    def read_text(text=DOCUMENT):
        Path("ablation.yaml").write_text(text)
        return read_document(Path(), Path("params.yaml"), Path("dvc.yaml"), toy_tree)

    return read_text


def changes_of(document, group):
    return {place.label: document.arms[place.arm].changes for place in document.group(group).places}


def test_groups_are_arms_of_the_base_and_the_same_arm_is_there_once(read):
    document = read()
    assert document.question == "What the toy is made of: its rate above all."
    assert document.arms[0].changes == {"train.updates": 6}
    assert changes_of(document, "rate") == {
        "0": {"train.updates": 6, "train.rate": 0.0},
        "0.0001": {"train.updates": 6},
        "1": {"train.updates": 6, "train.rate": 1.0},
    }
    assert changes_of(document, "longer")["1"] == {"train.updates": 8, "train.rate": 1.0}
    assert changes_of(document, "named") == {
        "as it is": {"train.updates": 6},
        "as before": {},
        "both": {"train.updates": 7, "train.rate": 2.0},
    }
    assert [place.arm for place in document.group("rate").places][1] == 0 == document.group("named").places[0].arm
    assert len(document.arms) == 7
    assert [group.is_numeric for group in document.groups] == [True, True, False]
    assert document.arms[-1].params["train"] == {"updates": 7, "rate": 2.0}


def test_the_base_arm_runs_with_every_seed(read):
    document = read(DOCUMENT + "seeds: [3, 4]\n")
    assert [(place.label, document.arms[place.arm].changes.get("seed", 3)) for place in document.seeds] == [
        ("seed 3", 3), ("seed 4", 4),
    ]  # fmt: skip
    assert document.seeds[0].arm == 0


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("title: The", "titel: The", "ablation.yaml: unknown key 'titel' (did you mean title?)"),
        ("base: {train.updates: 6}\n", "", "ablation.yaml: missing key 'base'"),
        ("target: train", "target: trian", "target: dvc.yaml has no stage 'trian' (did you mean train?)"),
        ("{train.updates: 6}", "{train.update: 6}", "base: train.update: params.yaml has no such key (did you mean train.updates"),
        ("{train.updates: 6}", "{train: 6}", "base: train: params.yaml has no such key (it is a section: train.updates"),
        ("{train.updates: 6}", "{run.device: cuda}", "base: run.device: nothing in 'run' may change a result"),
        ("{train.updates: 6}", "[6]", "base: expected KEY: VALUE, got [6]"),
        ("values: [0, 1.0e-4, 1]", "values: [fast]", "groups[0] 'rate': fast: train.rate: expected a number, got 'fast'"),
        ("values: [0, 1.0e-4, 1]", "values: [0, 0.0]", "groups[0] 'rate': '0' is there twice"),
        ("values: [0, 1.0e-4, 1]", "values: 1", "groups[0] 'rate': values: expected a list"),
        ("param: train.rate\n    values: [0,", "values: [0,", "groups[0]: missing key 'param'"),
        ("  - title: longer\n    set", "  - title: rate\n    set", "groups: 'rate' is there twice"),
        ("updates: 7, rate: 2", "updates: 7, rates: 2", "both: train.rates: params.yaml has no such key"),
        ("metrics: [train:", "metrics: [sample-coco:", "stage 'sample-coco' does not run up to the target"),
        ("metrics: [train:valid/total]", "metrics: [psnr]", "metrics: 'psnr': expected STAGE:KEY"),
        ("expect: rises", "expect: climbs", "sentences[0]: expect: 'climbs' is not a rule"),
        ("expect: rises", "expect: {highest: 9}", "group 'rate' has no arm '9' (there are: 0, 0.0001, 1)"),
        ("group: rate, metric", "group: named, metric", "'rises' needs a numeric axis, which group 'named' has not"),
        ("group: rate, metric", "group: rat, metric", "no group is called 'rat' (did you mean rate?)"),
        ('metric: "train:valid/total", ', "", "'rises' needs one of the metrics train:valid/total, got ''"),
        ("metrics:", "seeds: [1]\nmetrics:", "seeds: expected two or more whole numbers, got [1]"),
    ],
)
def test_what_is_wrong_is_named(read, old, new, words):
    assert old in DOCUMENT
    with pytest.raises(ValueError) as error:
        read(DOCUMENT.replace(old, new, 1))
    assert words in str(error.value) and "ablation.yaml" in str(error.value)


def test_every_committed_ablation_can_be_read():
    root = Path(__file__).parents[2]
    for path in root.glob("reports/ablations/*/ablation.yaml"):
        document = read_document(path.parent, root / "params.yaml", root / "dvc.yaml")
        assert document.question and parse_yaml(path.read_text(), str(path))["title"] == document.title
