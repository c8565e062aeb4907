"""Captioned pictures that nobody here drew: handwritten digits of scikit-learn's own data set, enlarged and coloured."""

import json
from pathlib import Path

import numpy as np
from PIL import Image
from sklearn.datasets import load_digits

DIGITS = "zero one two three four five six seven eight nine".split()
INKS = {"black": (20, 20, 20), "blue": (30, 50, 190), "red": (190, 30, 40), "green": (20, 120, 50), "purple": (110, 40, 140)}
PAPERS = {"white": (250, 250, 248), "yellow": (250, 230, 120), "pink": (250, 200, 210), "grey": (190, 190, 190)}
TEMPLATES = (
    "a handwritten {digit} in {ink} ink on {paper} paper",
    "the number {digit} written with a {ink} pen on a sheet of {paper} paper",
    "somebody wrote a {digit} in {ink} on {paper} paper",
    "{ink} {digit} on {paper}",
)
SCALE = 12  # of the 8 x 8 pixels that a digit has


def write_digits(folder: Path, number: int) -> None:
    """`number` pictures in sub-folders by digit, with captions.jsonl that names them; no split."""
    data = load_digits()
    rng, lines = np.random.default_rng(0), []
    for index in range(number):
        digit = int(data.target[index % len(data.target)])
        ink, paper = (str(rng.choice(list(names))) for names in (INKS, PAPERS))
        name = f"{DIGITS[digit]}/{index:04d}.{'png' if index % 5 == 0 else 'jpg'}"
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        _picture(data.images[index % len(data.target)], INKS[ink], PAPERS[paper]).save(folder / name)
        words = {"digit": DIGITS[digit], "ink": ink, "paper": paper}
        for template in rng.choice(TEMPLATES, size=2, replace=False):
            lines.append(json.dumps({"file": name, "caption": str(template).format(**words)}))
    (folder / "captions.jsonl").write_text("\n".join(lines) + "\n")


def _picture(strokes: np.ndarray, ink: tuple[int, ...], paper: tuple[int, ...]) -> Image.Image:
    side = strokes.shape[0] * SCALE
    smooth = Image.fromarray((strokes * 255 / 16).astype(np.uint8)).resize((side, side), Image.Resampling.BICUBIC)
    share = np.asarray(smooth, float)[..., None] / 255
    return Image.fromarray((share * ink + (1 - share) * paper).round().astype(np.uint8))
