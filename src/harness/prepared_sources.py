"""What prepare_data wrote down about where the corpora come from."""

import json
from pathlib import Path

from dalle.data.sources.layouts import CAPTIONED

SOURCES = Path("data/prepared/sources.json")


def own_folders() -> dict[str, str]:
    """The names of the captioned folders that stand for corpora, by corpus: their pictures are not MS-COCO's, nor CUB's."""
    if not SOURCES.is_file():
        return {}
    sources = json.loads(SOURCES.read_text())
    return {corpus: Path(of["folder"]).name for corpus, of in sources.items() if of["layout"] == CAPTIONED.name}
