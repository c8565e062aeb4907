"""The corpus `coco`: scenes in the layout of MS-COCO 2014, some of combinations that `web` never shows."""

import csv
import json
from functools import partial
from pathlib import Path

from dalle.miniworld.captions import caption_scene, parse_caption
from dalle.miniworld.items import TRUTH_COLUMNS, CocoItem, encode_original, scene_attributes
from dalle.miniworld.parallel import map_in_order
from dalle.miniworld.variety import Variety
from dalle.progress import track
from dalle.randomness import numpy_generator

CAPTIONS_PER_IMAGE = 5
FIRST_IMAGE = {"train": 9, "val": 500_000}
FIRST_ANNOTATION = {"train": 100_001, "val": 500_001}


def coco_items(num_train: int, num_val: int, seed: int, variety: Variety) -> list[CocoItem]:
    """All images; ids are unique over both splits and have gaps, as in MS-COCO."""
    items = []
    for split, count in (("train", num_train), ("val", num_val)):
        # a stream for each split, so that neither changes with the size of the other
        gaps = numpy_generator(seed, "coco", "ids", split).integers(1, 5, size=count)
        image_ids = (FIRST_IMAGE[split] + gaps.cumsum()).tolist()
        items += [CocoItem(image_id=image_id, split=split, variety=variety) for image_id in image_ids]
    return items


def coco_captions(item: CocoItem, seed: int) -> list[str]:
    """Five different captions of the item's scene."""
    rng, scene = numpy_generator(seed, "coco", item.image_id, "captions"), item.scene(seed)
    captions: list[str] = []
    while len(captions) < CAPTIONS_PER_IMAGE:
        caption = caption_scene(scene, rng)
        if caption not in captions:
            captions.append(caption)
    return captions


def write_coco(folder: Path, items: list[CocoItem], seed: int) -> None:
    documents = {split: _empty_document() for split in ("train", "val")}
    for split in documents:
        (folder / f"{split}2014").mkdir(parents=True)
    (folder / "annotations").mkdir()
    with open(folder / "truth.csv", "w", newline="", encoding="utf-8") as file:
        truth = csv.writer(file, lineterminator="\n")
        truth.writerow(TRUTH_COLUMNS)
        made = map_in_order(partial(_make, seed=seed), items)
        for item, (image_bytes, size, captions, attributes) in zip(
            items, track(made, what="coco", unit="images", total=len(items)), strict=True
        ):
            document = documents[item.split]
            image = _image_entry(item, size)
            (folder / f"{item.split}2014" / image["file_name"]).write_bytes(image_bytes)
            document["images"].append(image)
            for caption in captions:
                number = FIRST_ANNOTATION[item.split] + len(document["annotations"])
                document["annotations"].append({"image_id": item.image_id, "id": number, "caption": caption})
                heldout = parse_caption(caption).heldout
                truth.writerow([number, item.image_id, "scene", "", "", heldout, attributes])
    for split, document in documents.items():
        text = json.dumps(document, ensure_ascii=False)
        (folder / "annotations" / f"captions_{split}2014.json").write_text(text, encoding="utf-8")


def _make(item: CocoItem, *, seed: int) -> tuple[bytes, tuple[int, int], list[str], str]:
    image = item.picture(seed)
    image_bytes = encode_original(image, numpy_generator(seed, "coco", item.image_id, "jpeg"))
    return image_bytes, image.size, coco_captions(item, seed), scene_attributes(item.scene(seed))


def _empty_document() -> dict:
    info = {"description": "Miniature world in the layout of COCO 2014", "version": "1.0", "year": 2014}
    licence = {"id": 1, "name": "Rendered by this project; free of rights", "url": ""}
    return {"info": info, "images": [], "licenses": [licence], "annotations": []}


def _image_entry(item: CocoItem, size: tuple[int, int]) -> dict:
    return {
        "license": 1,
        "file_name": f"COCO_{item.split}2014_{item.image_id:012d}.jpg",
        "coco_url": "",
        "height": size[1],
        "width": size[0],
        "date_captured": "2013-11-14 17:02:52",
        "flickr_url": "",
        "id": item.image_id,
    }
