"""What prepare_data wrote down about where the corpora come from."""

import json
from pathlib import Path

from dalle.data.evaluation_captions import EVALUATION_SPLITS
from dalle.data.sources.layouts import CAPTIONED

SOURCES = Path("data/prepared/sources.json")


def own_folders() -> dict[str, str]:
    """The names of the captioned folders that stand for corpora, by corpus: their pictures are not MS-COCO's, nor CUB's.

    Domains whose folders have one name, or are one folder, are told apart by their own.
    """
    if not SOURCES.is_file():
        return {}
    sources = json.loads(SOURCES.read_text())
    names = {corpus: Path(of["folder"]).name for corpus, of in sources.items() if of["layout"] == CAPTIONED.name}
    domains = [names[corpus] for corpus in EVALUATION_SPLITS if corpus in names]
    alike = [corpus for corpus in EVALUATION_SPLITS if domains.count(names.get(corpus)) > 1]
    return names | {corpus: f"{names[corpus]} ({corpus})" for corpus in alike}
