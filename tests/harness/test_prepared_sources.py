"""How the corpora are called that lie in folders of one's own."""

import json

import pytest

from harness.prepared_sources import SOURCES, own_folders

PHOTOS = {"layout": "captioned folder", "folder": "external/photos"}


@pytest.mark.parametrize(
    ("sources", "names"),
    [
        ({"web": {"layout": "WebDataset shards", "folder": "external/web"}, "coco": PHOTOS}, {"coco": "photos"}),
        ({"web": PHOTOS, "coco": PHOTOS}, {"web": "photos", "coco": "photos"}),
        ({"coco": PHOTOS, "cub": PHOTOS}, {"coco": "photos (coco)", "cub": "photos (cub)"}),
        ({"coco": {"layout": "MS-COCO", "folder": "external/coco"}, "panels": {"layout": "miniworld", "folder": "x"}}, {}),
    ],
)
def test_captioned_folders_are_called_by_their_names(tmp_path, monkeypatch, sources, names):
    monkeypatch.chdir(tmp_path)
    assert own_folders() == {}
    SOURCES.parent.mkdir(parents=True)
    SOURCES.write_text(json.dumps(sources))
    assert own_folders() == names
