"""What the report does where a corpus is not like the miniature world."""

import io
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from dalle.data.filtering.rule_list import RULES
from dalle.data.manifest import manifest_from_rows, write_manifest
from dalle.data.sources.rows import describe_image
from dalle.report.frames import EVALUATION_COLUMNS
from dalle.report.results import Results
from harness import reporting


def test_a_clean_corpus_has_a_figure_of_nothing_dropped(tmp_path, monkeypatch):
    """MS-COCO and CUB are clean: filtering their training splits may drop no pair at all."""
    monkeypatch.chdir(tmp_path)
    buffer = io.BytesIO()
    Image.fromarray(np.zeros((40, 40, 3), np.uint8)).save(buffer, "PNG")
    (tmp_path / "a.png").write_bytes(buffer.getvalue())
    row = {"pair_id": "1", "image_id": "1", "caption": "a black square", "split": "train"}
    row |= describe_image(buffer.getvalue(), "a.png")
    write_manifest(manifest_from_rows([row]), tmp_path / "data/prepared/web.parquet")
    (tmp_path / "data/filtered").mkdir()
    (tmp_path / "data/filtered/dropped.csv").write_text("pair_id,rule,detail\n")
    metrics = {"filter_data": {"pairs/total": 1, **{f"dropped/{rule}": 0 for rule in RULES}}}
    results = Results(metrics=metrics, evaluation=pd.DataFrame(columns=EVALUATION_COLUMNS), world="MS-COCO", names={})
    assert reporting._filtering(SimpleNamespace(results=results)).get_axes()


@pytest.mark.parametrize(
    ("web", "coco", "own", "words"),
    [
        ("miniworld", "miniworld", {}, "the miniature world"),
        ("external/cc3m", "miniworld", {}, "cc3m"),
        ("coco", "external/coco", {}, "the training split of MS-COCO"),
        ("coco", "miniworld", {}, "the training split of the miniature MS-COCO"),
        ("coco", "external/photos", {"coco": "photos"}, "the training split of photos"),
    ],
)
def test_the_training_data_has_a_name(web, coco, own, words):
    params = SimpleNamespace(domains=("coco",), prepare_data=SimpleNamespace(web=web, coco=coco))
    assert reporting._world_name(params, own) == words
