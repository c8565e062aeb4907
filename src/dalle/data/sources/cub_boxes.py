"""The part of a picture of CUB that the GANs are trained on: a square around the bird's bounding box."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dalle.data.image_files import Box
from dalle.data.manifest import BOX
from dalle.data.text_files import escaped, text_lines

HALF_SIDE = 0.75  # of the box's longer side: the square is 1.5 times as wide
TOLERANCE = 1  # pixels that a box may end outside its image by, as rounded numbers do

Bird = tuple[float, float, float, float]  # left, top, width, height


def read_boxes(path: Path, problems: list[str]) -> dict[str, Bird]:
    """Bounding boxes by image id, of lines `<image id> <left> <top> <width> <height>`."""
    boxes: dict[str, Bird] = {}
    for number, line in enumerate(text_lines(path), start=1):
        words = line.split()
        if not words:
            continue
        try:
            image_id, left, top, width, height = words[0], *map(float, words[1:])
        except ValueError:
            problems.append(f"{path}: line {number}: not an image's id and four numbers: {escaped(line)!r}")
            continue
        if image_id in boxes:
            problems.append(f"{path}: line {number}: image {image_id} has a box already; the first is used")
            continue
        boxes[image_id] = (left, top, width, height)
    return boxes


def cropped(image: Mapping[str, Any], bird: Bird) -> dict[str, Any]:
    """The manifest's columns of an image with its picture cut down to the bird; a box outside the image is a `ValueError`."""
    left, top, width, height = bird
    right, bottom = image["width"] + TOLERANCE, image["height"] + TOLERANCE
    if not (0 <= left and 0 <= top and width >= 1 and height >= 1 and left + width <= right and top + height <= bottom):
        size = f"{image['width']} x {image['height']}"
        raise ValueError(f"{image['file']}: its box {left:g} {top:g} {width:g} {height:g} is not in the {size} pixels")
    box = square_around(bird, image["width"], image["height"])
    return {**image, **dict(zip(BOX, box, strict=True)), "width": box[2] - box[0], "height": box[3] - box[1]}


def square_around(bird: Bird, width: int, height: int) -> Box:
    """As StackGAN and AttnGAN crop: whole numbers, a square about the box's centre, what hangs over the image cut off."""
    left, top, box_width, box_height = map(int, bird)
    radius = int(max(box_width, box_height) * HALF_SIDE)
    x, y = (2 * left + box_width) // 2, (2 * top + box_height) // 2
    return max(0, x - radius), max(0, y - radius), min(width, x + radius), min(height, y + radius)
