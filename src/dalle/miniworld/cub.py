"""The corpus `cub`: drawn birds in the layout of CUB-200-2011, with ten captions an image and a split by species."""

import csv
from functools import partial
from pathlib import Path

from dalle.miniworld.birds import describe_bird, draw_species, held_out_species
from dalle.miniworld.items import TRUTH_COLUMNS, CubItem, bird_attributes, encode_original
from dalle.miniworld.parallel import map_in_order
from dalle.miniworld.variety import Variety
from dalle.progress import track
from dalle.randomness import numpy_generator

CAPTIONS_PER_IMAGE = 10


def cub_items(num_species: int, images_per_species: int, seed: int, variety: Variety) -> list[CubItem]:
    """All images, species after species; ids from 1."""
    held_out = held_out_species(num_species, seed)
    return [
        CubItem(
            image_id=index * images_per_species + number,
            species_index=index,
            number=number,
            species=species,
            split="test" if index in held_out else "train",
            variety=variety,
        )
        for index, species in enumerate(draw_species(num_species, seed))
        for number in range(1, images_per_species + 1)
    ]


def cub_captions(item: CubItem, seed: int) -> list[str]:
    return describe_bird(item.species, numpy_generator(seed, "cub", item.image_id, "captions"), CAPTIONS_PER_IMAGE)


def write_cub(folder: Path, items: list[CubItem], seed: int) -> None:
    classes = {item.species_index: _class_name(item) for item in items}
    for name in classes.values():
        (folder / "images" / name).mkdir(parents=True)
        (folder / "text_c10" / name).mkdir(parents=True)
    boxes, truth = [], []
    made = map_in_order(partial(_make, seed=seed), items)
    for item, (image_bytes, box, captions) in zip(
        items, track(made, what="cub", unit="images", total=len(items)), strict=True
    ):
        (folder / "images" / f"{_stem(item)}.jpg").write_bytes(image_bytes)
        _write_lines(folder / "text_c10" / f"{_stem(item)}.txt", captions)
        boxes.append(f"{item.image_id} " + " ".join(f"{value:.1f}" for value in box))
        attributes = bird_attributes(item.species)
        for line in range(len(captions)):
            truth.append([f"{item.image_id}-{line}", item.image_id, "bird", "", "", False, attributes])
    _write_lines(folder / "bounding_boxes.txt", boxes)
    _write_lists(folder, items, classes, seed)
    with open(folder / "truth.csv", "w", newline="", encoding="utf-8") as file:
        csv.writer(file, lineterminator="\n").writerows([TRUTH_COLUMNS, *truth])


def _make(item: CubItem, *, seed: int) -> tuple[bytes, tuple[float, float, float, float], list[str]]:
    image, box = item.picture(seed)
    return encode_original(image, numpy_generator(seed, "cub", item.image_id, "jpeg")), box, cub_captions(item, seed)


def _write_lists(folder: Path, items: list[CubItem], classes: dict[int, str], seed: int) -> None:
    _write_lines(folder / "images.txt", [f"{item.image_id} {_stem(item)}.jpg" for item in items])
    _write_lines(folder / "classes.txt", [f"{index + 1} {name}" for index, name in classes.items()])
    _write_lines(folder / "image_class_labels.txt", [f"{item.image_id} {item.species_index + 1}" for item in items])
    # the original's split of images, about half of every class: another one than the split of classes
    is_training = numpy_generator(seed, "cub", "image split").uniform(size=len(items)) < 0.5
    flags = [f"{item.image_id} {int(train)}" for item, train in zip(items, is_training, strict=True)]
    _write_lines(folder / "train_test_split.txt", flags)
    tested = {item.species_index for item in items if item.split == "test"}
    _write_lines(folder / "trainvalclasses.txt", [name for index, name in classes.items() if index not in tested])
    _write_lines(folder / "testclasses.txt", [name for index, name in classes.items() if index in tested])


def _class_name(item: CubItem) -> str:
    return f"{item.species_index + 1:03d}.{item.species.name}"


def _stem(item: CubItem) -> str:
    return f"{_class_name(item)}/{item.species.name}_{item.number:04d}_{item.image_id}"


def _write_lines(path: Path, lines: list[str]) -> None:
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
