"""The folders that params.yaml names, looked at without reading them: is there what the layout needs, and how much is it."""

import tarfile
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from harness.run_config import MINIWORLD

if TYPE_CHECKING:
    from harness.params_tree import Params, PrepareDataConfig

# what each corpus needs, by the places where it may lie; the readers in dalle.data.sources say the same when they fail
NEEDED: Mapping[str, tuple[tuple[str, ...], ...]] = {
    "web": (("*.tar",),),
    "coco": (
        ("annotations/captions_train2014.json",),
        ("annotations/captions_val2014.json",),
        ("train2014", "images/train2014"),
        ("val2014", "images/val2014"),
    ),
    "cub": (
        *((name, f"CUB_200_2011/{name}") for name in ("images.txt", "classes.txt", "images")),
        *((name, f"cvpr2016_cub/{name}") for name in ("testclasses.txt", "text_c10")),
    ),
    "panels": (("captions.jsonl",),),
}
# of the real corpora: pairs to train on (82,783 images with five captions and more; 8,855 with ten), and images evaluated
TRAINING_PAIRS = {"coco": 414_113, "cub": 88_550}
EVALUATED_IMAGES = {"coco": 40_504, "cub": 2_933}
SAMPLED_PAIRS = 200  # of the first shard, by whose size the pairs of all shards are estimated


def folders(params: "Params") -> dict[str, Path]:
    """The folder of every corpus that is read and not rendered."""
    config = params.prepare_data
    corpora = params.domains if config.web in params.domains else ("web", *params.domains)
    sources = {**{corpus: getattr(config, corpus) for corpus in corpora}, "panels": params.complete.source}
    return {corpus: Path(source) for corpus, source in sources.items() if source not in (MINIWORLD, None)}


def missing_files(corpus: str, folder: Path) -> list[str]:
    """What the corpus's layout needs and `folder` lacks."""
    absent = [places for places in NEEDED[corpus] if not any(next(folder.glob(place), None) for place in places)]
    return [" or ".join(places) for places in absent]


def training_pairs(params: "Params", root: Path) -> int | None:
    """About how many pairs there are to train on; None where their folder holds none."""
    config = params.prepare_data
    if config.web in params.domains:
        rendered = getattr(config, config.web) == MINIWORLD
        return _rendered_pairs(config, config.web) if rendered else TRAINING_PAIRS[config.web]
    return config.miniworld.web_pairs if config.web == MINIWORLD else estimated_pairs(root / config.web)


def evaluated_captions(params: "Params", domain: str) -> int:
    """How many captions of a domain are drawn for: one an image, where there are fewer images than captions asked for."""
    world = params.prepare_data.miniworld
    rendered = {"coco": world.coco_val_images, "cub": world.cub_species * world.cub_images_per_species}
    images = rendered if getattr(params.prepare_data, domain) == MINIWORLD else EVALUATED_IMAGES
    return min(params.sample.num_captions, images[domain])


def estimated_pairs(folder: Path) -> int | None:
    """Pairs of WebDataset shards, from the bytes of all and the first few pairs of one."""
    shards = sorted(folder.glob("*.tar"))
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
    images = {"coco": 5 * world.coco_train_images, "cub": 10 * world.cub_species * world.cub_images_per_species}
    return images[corpus]
