"""The folders that params.yaml names, looked at without reading them: is there what the layout needs, and how much is it."""

import tarfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from dalle.data.sources.caption_lists import num_captions, pictures_below
from dalle.data.sources.cub_splits import FILES as CUB_SPLIT_FILES
from dalle.data.sources.layouts import CAPTIONED, COCO, CUB, LAYOUTS, Layout, fitting_layouts
from dalle.data.sources.originals import original_sizes
from dalle.data.sources.walking import walk
from dalle.data.sources.webdataset import shards_below
from harness.run_config import MINIWORLD

if TYPE_CHECKING:
    from dalle.data.sources.options import SourceOptions
    from harness.params_tree import Params, PrepareDataConfig

SAMPLED_PAIRS = 200  # of the first shard, by whose size the pairs of all shards are estimated
CAPTIONS_PER_IMAGE = {"coco": 5, "cub": 10}  # of the miniature world


def folders(params: "Params") -> dict[str, Path]:
    """The folder of every corpus that is read and not rendered."""
    return {corpus: Path(source) for corpus, source in params.sources.items() if source != MINIWORLD}


def layout_of(corpus: str, folder: Path) -> Layout | None:
    """The layout that `folder` has, where it has one and no other."""
    fitting = fitting_layouts(corpus, folder)
    return fitting[0] if len(fitting) == 1 else None


def missing_files(corpus: str, folder: Path, options: "SourceOptions") -> list[str]:
    """What `folder` lacks of the layout that it has, or what would tell a layout; the readers say the same when they fail."""
    layout = layout_of(corpus, folder)
    if layout is None:
        return [" or ".join(layout.sign for layout in LAYOUTS[corpus])]
    absent = [places for places in _needed(layout, options) if not any((folder / place).exists() for place in places)]
    return [" or ".join(places) for places in absent]


def _needed(layout: Layout, options: "SourceOptions") -> Iterator[tuple[str, ...]]:
    """Files and folders that are needed, each with the places where it may lie."""
    if layout is COCO:
        for split in (f"train{options.coco_year}", f"val{options.coco_year}"):
            yield (f"annotations/captions_{split}.json",)
            yield (split, f"images/{split}")
    if layout is CUB:
        boxes = ("bounding_boxes.txt",) if options.cub_crop == "box" else ()
        yield from ((name, f"CUB_200_2011/{name}") for name in ("images.txt", "classes.txt", "images", *boxes))
        yield ("text_c10", "cvpr2016_cub/text_c10", "text")
        inner, files = CUB_SPLIT_FILES[options.cub_split]
        yield from ((name, f"{inner}/{name}") for name in files)


def training_pairs(params: "Params", root: Path) -> int | None:
    """About how many pairs there are to train on; None where their folder holds none."""
    config = params.prepare_data
    corpus = config.web if config.web in params.domains else "web"
    source = params.sources[corpus]
    if source == MINIWORLD:
        return _rendered_pairs(config, corpus)
    layout = layout_of(corpus, root / source)
    if layout is CAPTIONED:
        return round(num_captions(root / source) * (1 - config.folder_evaluated if _is_divided(params, corpus) else 1))
    return estimated_pairs(root / source) if corpus == "web" else original_sizes(corpus, config)["train"].captions


def evaluated_captions(params: "Params", domain: str, root: Path) -> int:
    """About how many captions of a domain are drawn for."""
    images, captions = _evaluated(params, domain, root)
    most = images if getattr(params.sample.captions, domain) == "one_an_image" else captions
    return most if params.sample.num_captions is None else min(params.sample.num_captions, most)


def _evaluated(params: "Params", domain: str, root: Path) -> tuple[int, int]:
    """Images and captions of a domain's evaluation split."""
    config, source = params.prepare_data, params.sources[domain]
    if source == MINIWORLD:
        world = config.miniworld
        images = {"coco": world.coco_val_images, "cub": world.cub_species * world.cub_images_per_species}[domain]
        return images, images * CAPTIONS_PER_IMAGE[domain]
    if layout_of(domain, root / source) is CAPTIONED:
        share = config.folder_evaluated if _is_divided(params, domain) else 1
        pictures = len(pictures_below(root / source))
        return round(share * pictures), round(share * num_captions(root / source))
    sizes = original_sizes(domain, config)
    return sizes["val" if domain == "coco" else "test"]


def _is_divided(params: "Params", corpus: str) -> bool:
    """Whether the corpus's folder is the training pairs' and a domain's: one that is trained on and evaluated."""
    web = params.prepare_data.web
    training = params.sources[web if web in params.domains else "web"]
    return params.sources[corpus] == training and training in [params.sources[domain] for domain in params.domains]


def estimated_pairs(folder: Path) -> int | None:
    """Pairs of WebDataset shards, from the bytes of all and the first few pairs of one."""
    shards = shards_below(walk(folder))
    total = sum(shard.stat().st_size for shard in shards)
    for shard in shards:
        keys: dict[str, int] = {}
        try:
            with tarfile.open(shard, "r:") as tar:
                for member in tar:
                    keys[PurePosixPath(member.name).name.partition(".")[0]] = tar.offset
                    if len(keys) > SAMPLED_PAIRS:
                        break
        except (tarfile.TarError, OSError):
            continue  # a broken shard is the reader's to complain about
        if keys:
            return round(total * len(keys) / max(keys.values()))
    return None


def _rendered_pairs(config: "PrepareDataConfig", corpus: str) -> int:
    world = config.miniworld
    if corpus == "web":
        return world.web_pairs
    images = {"coco": world.coco_train_images, "cub": world.cub_species * world.cub_images_per_species}[corpus]
    return images * CAPTIONS_PER_IMAGE[corpus]
