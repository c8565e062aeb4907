"""A folder of captioned pictures of one's own goes through everything by changing paths and nothing else."""

import json
import math
from pathlib import Path

import pandas as pd
import pytest
from digit_pictures import write_digits
from project_copies import Project, copy_project
from test_bad_input import refusal

from dalle.data.sources.layouts import CAPTIONED, COCO, WEBDATASET
from harness.params import build_params, parse_yaml
from harness.presets import preset_text
from stages.prepare_data import default_splits, domain_metrics

PRESETS = Path(__file__).parents[2] / "presets"
PHOTOS = "external/photos"
IDS = [f"{number}.jpg" for number in range(300)]


def params_of(preset: str, *assignments: str):
    return build_params(parse_yaml(preset_text(preset, list(assignments), PRESETS), preset))


def evaluated(corpus: str, splits: dict) -> float:
    return sum(splits[corpus](image_id) == "test" for image_id in IDS) / len(IDS)


def splits_of(web: str, coco: str, cub: str, layouts: dict, **places: str):
    sources = (f"prepare_data.web={web}", f"prepare_data.coco={coco}", f"prepare_data.cub={cub}")
    params = params_of("mini", *sources)
    folders = {corpus: Path(source) for corpus, source in {**params.sources, **places}.items()}
    return default_splits(params, folders, layouts)


def test_a_folder_that_is_evaluated_alone_is_evaluated_whole():
    splits = splits_of("external/web", PHOTOS, "miniworld", {"web": WEBDATASET, "coco": CAPTIONED})
    assert evaluated("coco", splits) == 1
    splits = splits_of("external/others", PHOTOS, "miniworld", {"web": CAPTIONED, "coco": CAPTIONED})
    assert (evaluated("web", splits), evaluated("coco", splits)) == (0, 1)


@pytest.mark.parametrize("web", [PHOTOS, "./external/../external/photos", "coco"])
def test_a_folder_that_is_trained_on_as_well_is_divided_alike_for_all(web):
    layouts = dict.fromkeys(("coco", "cub", *(["web"] if web != "coco" else [])), CAPTIONED)
    splits = splits_of(web, PHOTOS, PHOTOS, layouts, panels=PHOTOS)
    assert evaluated("coco", splits) == pytest.approx(0.1, abs=0.06)
    for image_id in IDS:
        assert len({splits[corpus](image_id) for corpus in (*layouts, "panels")}) == 1


def test_only_the_domain_that_shares_the_folder_is_divided():
    splits = splits_of(PHOTOS, PHOTOS, "external/birds", dict.fromkeys(("web", "coco", "cub"), CAPTIONED))
    assert evaluated("coco", splits) < 0.2 and evaluated("cub", splits) == 1


def test_a_folder_within_the_training_pairs_is_refused():
    words = "prepare_data.cub: of .*photos/birds and the training pairs in .*photos one lies within the other"
    with pytest.raises(ValueError, match=words):
        splits_of(PHOTOS, "external/coco", f"{PHOTOS}/birds", {"web": CAPTIONED, "coco": COCO, "cub": CAPTIONED})
    # shards and whatever lies below them are different things
    splits_of(PHOTOS, "external/coco", f"{PHOTOS}/birds", {"web": WEBDATASET, "coco": COCO, "cub": CAPTIONED})


def manifest(num_images: int, split: str) -> pd.DataFrame:
    rows = [(f"{image}-{line}", str(image), f"caption {line} of {image}") for image in range(num_images) for line in range(3)]
    return pd.DataFrame(rows, columns=["pair_id", "image_id", "caption"]).assign(split=split, file="images/001.Bird/a.jpg")


def test_what_is_evaluated_is_counted_and_a_part_of_the_original_is_welcome(capsys):
    params = params_of("smoke", "prepare_data.coco=external/coco")
    found = domain_metrics("coco", manifest(40, "val"), COCO, False, "here", params)
    assert found == {"coco/evaluated_pairs": 120, "coco/evaluated_images": 40}
    assert "coco: WARNING: val has 40 images and 120 captions, the original 40,504 and 202,654" in capsys.readouterr().out
    for layout, is_rendered in ((CAPTIONED, False), (COCO, True)):
        domain_metrics("coco", manifest(40, "val"), layout, is_rendered, "here", params)
        assert capsys.readouterr().out == ""


def test_too_few_pictures_are_said_before_anything_is_trained():
    params = params_of("mini")
    with pytest.raises(ValueError, match="here: none of 3 pairs is of split 'val', so there is nothing to evaluate: add it"):
        domain_metrics("coco", manifest(1, "train"), CAPTIONED, False, "here", params)
    words = (
        "here: too few pictures are evaluated: kid_subset_size must be at most 40, got 100; there are 40 samples and 40 reference "
        "images. Lower it in section evaluate of params.yaml, or bring more"
    )
    with pytest.raises(ValueError, match=words):
        domain_metrics("coco", manifest(40, "val"), CAPTIONED, False, "here", params)


def bring_digits(project: Project, number: int, *assignments: str) -> Path:
    """The folder, and params.yaml of preset smoke with it in the place of all corpora."""
    write_digits(project.folder / PHOTOS, number)
    project.set_preset(*(f"prepare_data.{corpus}={PHOTOS}" for corpus in ("web", "coco", "cub")), *assignments)
    return project.folder / PHOTOS


@pytest.mark.pipeline
def test_the_whole_pipeline_on_pictures_that_are_not_the_miniature_world(tmp_path):
    project = copy_project(tmp_path / "project")
    bring_digits(project, 300, f"complete.source={PHOTOS}")
    done = project.run("dvc", "repro")
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    prepared = {corpus: pd.read_parquet(project.folder / f"data/prepared/{corpus}.parquet") for corpus in ("web", "coco", "cub")}
    trained, judged = set(prepared["web"]["image_id"]), set(prepared["coco"].query("split == 'val'")["image_id"])
    assert trained | judged == set(prepared["coco"]["image_id"]) and not trained & judged
    assert judged == set(prepared["cub"].query("split == 'test'")["image_id"]) and 15 < len(judged) < 50
    assert set(pd.read_parquet(project.folder / "data/prepared/panels.parquet")["image_id"]) == judged
    assert not any((project.folder / "data/miniworld").iterdir())
    for domain in ("coco", "cub"):
        captions = pd.read_csv(project.folder / f"samples/{domain}/captions.csv", dtype=str)
        assert len(captions) == 12 and set(captions["image_id"]) <= judged
        metrics = json.loads((project.folder / f"reports/metrics/evaluate-{domain}.json").read_text())
        assert metrics and all(math.isfinite(value) for value in metrics.values())
    page = (project.folder / "reports/README.md").read_text()
    assert "text-image pairs of photos" in page and "On photos (coco), keeping the best of 8" in page
    assert "MS-COCO" not in page.partition("## Scores")[0].partition("The paper and this run")[0]
    assert "of birds" not in page and not (project.folder / "reports/figures/caption_accuracy-coco.png").exists()


def test_all_that_is_wrong_with_a_folder_is_said_at_once(project, capsys):
    folder = bring_digits(project, 30)
    lines = (folder / "captions.jsonl").read_text().splitlines()
    broken = [json.loads(lines[0]) | {"file": "../out.jpg"}, json.loads(lines[2]) | {"caption": ""}]
    (folder / "captions.jsonl").write_text("\n".join([*map(json.dumps, broken), *lines[4:]]))
    message = refusal(project.stage("prepare_data"), capsys.readouterr())
    assert f"prepare_data.web ({PHOTOS}): 4 problems beside " in message
    named = ("zero/0000.png: has no caption", "one/0001.jpg: has no caption")
    for words in ("line 1: its file '../out.jpg' leads out", 'line 2: no "file", or no "caption"', *named):
        assert words in message
    assert not (project.folder / "data/prepared").exists()
