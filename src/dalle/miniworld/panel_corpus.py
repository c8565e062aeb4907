"""The corpus `panels`: pictures to be completed from their top half, as a folder with captions, the truth in every line."""

import json
from functools import partial
from pathlib import Path

from dalle.miniworld.items import encode_original, panels_attributes
from dalle.miniworld.panel_captions import caption_panels
from dalle.miniworld.panels import KINDS, draw_panels
from dalle.miniworld.parallel import map_in_order
from dalle.miniworld.pictures import draw_panels_side, render_panels
from dalle.miniworld.variety import Variety
from dalle.randomness import numpy_generator


def write_panels(folder: Path, num_pictures: int, seed: int, variety: Variety) -> None:
    """`captions.jsonl` and `images/`; kinds take turns, and no picture is one of the web's."""
    (folder / "images").mkdir()
    made = map_in_order(partial(_make, seed=seed, variety=variety), range(num_pictures))
    with open(folder / "captions.jsonl", "w", encoding="utf-8") as file:
        for index, (image_bytes, caption, attributes) in enumerate(made):
            name = f"images/{index:04d}.jpg"
            (folder / name).write_bytes(image_bytes)
            truth = {"kind": "panels", "junk": "", "leak_of": "", "heldout": False, "attributes": json.loads(attributes)}
            file.write(json.dumps({"file": name, "caption": caption, "miniworld": truth}) + "\n")


def _make(index: int, *, seed: int, variety: Variety) -> tuple[bytes, str, str]:
    rng = numpy_generator(seed, "panels", index)
    panels = draw_panels(rng, KINDS[index % len(KINDS)], variety)
    image = render_panels(panels, rng, draw_panels_side(rng, variety), variety)
    return encode_original(image, rng), caption_panels(panels, rng), panels_attributes(panels)
