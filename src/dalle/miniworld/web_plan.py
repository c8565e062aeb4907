"""What every pair of the corpus `web` is: decided before any is rendered, so that pairs can be made in any order."""

from dataclasses import dataclass

import numpy as np

from dalle.miniworld.items import CocoItem, CubItem
from dalle.miniworld.junk import KINDS
from dalle.randomness import numpy_generator

JUNK_FRACTION = 0.02  # of all pairs, for each kind of junk
BIRD_FRACTION = 0.18
DISTRACTOR_FRACTION = 0.02
PANELS_FRACTION = 0.06
COCO_LEAK_FRACTION = 0.21  # of the coco validation images
CUB_LEAK_FRACTION = 0.12  # of the cub test images


@dataclass(frozen=True, kw_only=True)
class WebItem:
    """One pair; at most one of `junk`, `leak` and (for duplicates) `original`, the index of the pair it repeats."""

    index: int
    kind: str
    junk: str = ""
    leak: CocoItem | CubItem | None = None
    original: "WebItem | None" = None


def plan_web(num_pairs: int, coco_items: list[CocoItem], cub_items: list[CubItem], seed: int) -> list[WebItem]:
    """A plan of exactly `num_pairs`; errors when the leaks leave no room for anything else."""
    rng = numpy_generator(seed, "web", "plan")
    leaks = [*_leaked_coco(coco_items, rng, seed), *_leaked_cub(cub_items, rng)]
    if len(leaks) > num_pairs // 2:
        raise ValueError(
            f"web_pairs: {num_pairs} pairs cannot hold the {len(leaks)} leaked evaluation images; "
            f"ask for at least {2 * len(leaks)} pairs, or for fewer coco validation and cub images"
        )
    slots: list[tuple[str, str, CocoItem | CubItem | None]] = [
        ("scene" if isinstance(leak, CocoItem) else "bird", "", leak) for leak in leaks
    ]
    slots += [("scene", junk, None) for junk in KINDS for _ in range(round(JUNK_FRACTION * num_pairs))]
    slots += [("bird", "", None)] * round(BIRD_FRACTION * num_pairs)
    slots += [("distractor", "", None)] * round(DISTRACTOR_FRACTION * num_pairs)
    slots += [("panels", "", None)] * round(PANELS_FRACTION * num_pairs)
    slots += [("scene", "", None)] * (num_pairs - len(slots))
    order = [slots[position] for position in rng.permutation(len(slots))]
    items = [WebItem(index=index, kind=kind, junk=junk, leak=leak) for index, (kind, junk, leak) in enumerate(order)]
    return _with_originals(items, rng)


def _with_originals(items: list[WebItem], rng: np.random.Generator) -> list[WebItem]:
    """Give every duplicate a clean scene to repeat, each another one, and put the duplicate behind it."""
    clean = [item for item in items if item.kind == "scene" and not item.junk and item.leak is None]
    duplicates = [item for item in items if item.junk == "duplicate"]
    chosen = [clean[position] for position in rng.permutation(len(clean))[: len(duplicates)]]
    planned = list(items)
    for duplicate, original in zip(duplicates, chosen, strict=True):
        first, second = sorted([duplicate.index, original.index])
        planned[first] = WebItem(index=first, kind="scene")
        planned[second] = WebItem(index=second, kind="scene", junk="duplicate", original=planned[first])
    return planned


def _leaked_coco(items: list[CocoItem], rng: np.random.Generator, seed: int) -> list[CocoItem]:
    """Validation images that also stand on the web; never one of a held-out combination, which would end the holding out."""
    validation = [item for item in items if item.split == "val"]
    eligible = [item for item in validation if not item.scene(seed).heldout]
    count = min(round(COCO_LEAK_FRACTION * len(validation)), len(eligible))
    return [eligible[position] for position in sorted(rng.permutation(len(eligible))[:count].tolist())]


def _leaked_cub(items: list[CubItem], rng: np.random.Generator) -> list[CubItem]:
    tested = [item for item in items if item.split == "test"]
    count = round(CUB_LEAK_FRACTION * len(tested))
    return [tested[position] for position in sorted(rng.permutation(len(tested))[:count].tolist())]
