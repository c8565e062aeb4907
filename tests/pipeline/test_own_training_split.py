"""`prepare_data.web: coco` or `cub`: the training pairs are the corpus's own training split, and never what it is judged on."""

import json

import pandas as pd
import pytest

from stages.prepare_data import training_pairs


@pytest.mark.pipeline
@pytest.mark.parametrize(("corpus", "evaluated"), [("coco", "val"), ("cub", "test")])
def test_the_training_pairs_are_the_corpus_s_own(project, corpus, evaluated):
    project.edit("  web: miniworld", f"  web: {corpus}")
    project.edit("domains: [coco, cub]", f"domains: [{corpus}]")
    project.edit("  domains: [cub]", "  domains: []")
    project.edit("  domain: coco", f"  domain: {corpus}")
    assert project.stage("prepare_data") == 0
    prepared = project.folder / "data/prepared"
    web, whole = pd.read_parquet(prepared / "web.parquet"), pd.read_parquet(prepared / f"{corpus}.parquet")
    assert web.equals(whole[whole["split"] == "train"].reset_index(drop=True)) and len(web)
    assert not set(web["image_id"]) & set(whole["image_id"][whole["split"] == evaluated])
    metrics = json.loads((project.folder / "reports/metrics/prepare_data.json").read_text())
    assert (metrics["web/pairs"], metrics["web/problems"]) == (len(web), 0)
    # nothing else but the pictures to complete is rendered, and no planted truth goes with these pairs
    assert sorted(path.name for path in (project.folder / "data/miniworld").iterdir()) == [corpus, "panels"]
    assert sorted(path.stem for path in (prepared / "truth").iterdir()) == [corpus, "panels"]


def test_a_corpus_without_a_training_part_is_named():
    with pytest.raises(ValueError, match="prepare_data.web is coco, but external/coco has no pairs of split 'train'"):
        training_pairs(pd.DataFrame({"split": ["val", "val"]}), "prepare_data.web is coco, but external/coco")
