"""The corpora on disk, in the formats of the real ones, and the truth about every pair of them."""

import json
import os
import shutil
import tarfile
from collections.abc import Callable
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Literal

import pandas as pd

from dalle.miniworld.birds import draw_species, held_out_species
from dalle.miniworld.coco import coco_items, write_coco
from dalle.miniworld.cub import cub_items, write_cub
from dalle.miniworld.items import TRUTH_COLUMNS
from dalle.miniworld.panel_corpus import write_panels
from dalle.miniworld.panels import KINDS
from dalle.miniworld.scenes import appearance
from dalle.miniworld.variety import VARIETIES
from dalle.miniworld.web import write_web
from dalle.miniworld.web_plan import plan_web

MAX_COCO_TRAIN_IMAGES = 80_000
CORPORA = ("web", "coco", "cub", "panels")


@dataclass(frozen=True, kw_only=True)
class MiniworldConfig:
    """How much of each corpus to render, and how much its pictures vary (`dalle.miniworld.variety`)."""

    variety: Literal["canonical", "rich"]
    web_pairs: int
    coco_train_images: int
    coco_val_images: int
    cub_species: int
    cub_images_per_species: int
    panels: int

    def __post_init__(self) -> None:
        for field in fields(self)[1:]:
            if getattr(self, field.name) < 1:
                raise ValueError(f"{field.name}: must be at least 1, got {getattr(self, field.name)}")
        if self.coco_train_images > MAX_COCO_TRAIN_IMAGES:
            raise ValueError(f"coco_train_images: must be at most {MAX_COCO_TRAIN_IMAGES}, or ids of both splits would meet")
        if self.panels < len(KINDS):
            raise ValueError(f"panels: must be at least {len(KINDS)}, one picture of each kind, got {self.panels}")
        if self.cub_species < 2:
            raise ValueError("cub_species: must be at least 2, one to train and one to test")


def render_web(config: MiniworldConfig, seed: int, folder: str | os.PathLike) -> None:
    """WebDataset shards with planted junk, and with some evaluation images of the two other corpora."""
    coco = coco_items(config.coco_train_images, config.coco_val_images, seed, VARIETIES[config.variety])
    cub = cub_items(config.cub_species, config.cub_images_per_species, seed, VARIETIES[config.variety])
    plan = plan_web(config.web_pairs, coco, cub, seed)
    held_out = held_out_species(config.cub_species, seed)
    species = [one for index, one in enumerate(draw_species(config.cub_species, seed)) if index not in held_out]
    scenes = [item.scene(seed) for item in coco if item.split == "val"]
    evaluated = frozenset(appearance(scene, mirrored=mirrored) for scene in scenes for mirrored in (False, True))
    _replace(folder, lambda target: write_web(target, plan, species, evaluated, seed, VARIETIES[config.variety]))


def render_coco(config: MiniworldConfig, seed: int, folder: str | os.PathLike) -> None:
    """MS-COCO 2014: `annotations/`, `train2014/`, `val2014/`; the truth lies beside in `truth.csv`."""
    items = coco_items(config.coco_train_images, config.coco_val_images, seed, VARIETIES[config.variety])
    _replace(folder, lambda target: write_coco(target, items, seed))


def render_cub(config: MiniworldConfig, seed: int, folder: str | os.PathLike) -> None:
    """CUB-200-2011 with `text_c10/`; the truth lies beside in `truth.csv`."""
    items = cub_items(config.cub_species, config.cub_images_per_species, seed, VARIETIES[config.variety])
    _replace(folder, lambda target: write_cub(target, items, seed))


def render_panels(config: MiniworldConfig, seed: int, folder: str | os.PathLike) -> None:
    """Pictures to be completed, never seen in training: `images/` and `captions.jsonl`, whose lines hold the truth as well."""
    _replace(folder, lambda target: write_panels(target, config.panels, seed, VARIETIES[config.variety]))


def read_truth(corpus: str, folder: str | os.PathLike) -> pd.DataFrame:
    """The truth about every pair, columns `TRUTH_COLUMNS`; an error when `folder` holds no corpus of the miniature world."""
    if corpus not in CORPORA:
        raise ValueError(f"corpus: {corpus!r} is not one of {', '.join(CORPORA)}")
    rows = {"web": _web_truth, "panels": _panels_truth}.get(corpus, _listed_truth)(Path(folder))
    return rows[list(TRUTH_COLUMNS)]


def _listed_truth(folder: Path) -> pd.DataFrame:
    if not (folder / "truth.csv").is_file():
        raise ValueError(f"{folder}: no truth.csv, so this is not a corpus of the miniature world; render it first")
    text = {column: str for column in TRUTH_COLUMNS if column != "heldout"}
    return pd.read_csv(folder / "truth.csv", dtype=text, keep_default_na=False)


def _panels_truth(folder: Path) -> pd.DataFrame:
    path = folder / "captions.jsonl"
    entries = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()] if path.is_file() else []
    if not entries or not all("miniworld" in entry for entry in entries):
        raise ValueError(f"{folder}: no captions.jsonl of the miniature world; render it first")
    return pd.DataFrame(
        _truth_row(str(number), entry["file"], entry["miniworld"]) for number, entry in enumerate(entries, start=1)
    )


def _truth_row(pair_id: str, image_id: str, truth: dict) -> dict:
    attributes = json.dumps(truth["attributes"], sort_keys=True)
    return {"pair_id": pair_id, "image_id": image_id, **truth, "attributes": attributes}


def _web_truth(folder: Path) -> pd.DataFrame:
    rows = []
    for shard in sorted(folder.glob("*.tar")):
        with tarfile.open(shard) as tar:
            for member in tar:
                if member.name.endswith(".json"):
                    metadata = json.load(tar.extractfile(member))
                    if "miniworld" not in metadata:
                        raise ValueError(f"{shard}: {member.name} has no key 'miniworld': not a shard of the miniature world")
                    pair_id = f"{shard.stem}/{metadata['key']}"
                    rows.append(_truth_row(pair_id, pair_id, metadata["miniworld"]))
    if not rows:
        raise ValueError(f"{folder}: no shards of the miniature world (*.tar); render it first")
    return pd.DataFrame(rows)


def _replace(folder: str | os.PathLike, write: Callable[[Path], None]) -> None:
    """Write into a temporary folder and rename it, so that `folder` is always a whole corpus or absent."""
    folder = Path(folder)
    partial = folder.with_name(f".{folder.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    write(partial)
    shutil.rmtree(folder, ignore_errors=True)
    os.replace(partial, folder)
