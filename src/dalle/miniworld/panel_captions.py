"""What captions say about panels: what to make of the top half, and sometimes what is in it."""

import numpy as np

from dalle.miniworld.captions import sentence_case
from dalle.miniworld.panels import Panels

# the first of each kind is worded as a prompt of the paper's Figure 14
WORDINGS = {
    "reflected": (
        "the exact same {what} on the top reflected upside-down on the bottom",
        "the same {what} on the top upside-down on the bottom",
        "the same {what} upside-down below",
    ),
    "recoloured": (
        "the exact same {what} on the top colored {colour} on the bottom",
        "the same {what} on the top in {colour} on the bottom",
        "the same {what} in {colour} below",
    ),
    "copied": (
        "the exact same {what} on the top and on the bottom",
        "the same {what} on the top and on the bottom",
        "the same {what} again below",
    ),
}
ANYTHING = {"reflected": "picture", "recoloured": "shape", "copied": "picture"}


def caption_panels(panels: Panels, rng: np.random.Generator) -> str:
    """One of the captions of these panels, of 5 to 13 words; it names the top's shape often, its colour sometimes."""
    names = (ANYTHING[panels.kind], panels.shape, f"{panels.colour} {panels.shape}")
    wordings = WORDINGS[panels.kind]
    wording = wordings[int(rng.integers(len(wordings)))]
    return sentence_case(wording.format(what=names[int(rng.integers(len(names)))], colour=panels.colour_below), rng)
