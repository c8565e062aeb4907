import numpy as np
import pytest
import torch
from PIL import Image

from dalle.clip.model import ClipConfig, build_clip
from dalle.data.bpe import train_tokenizer
from dalle.data.manifest import manifest_from_rows
from tiny_towers import RESNET, TRANSFORMER

COLOURS = {"red": (220, 40, 40), "green": (40, 180, 60), "blue": (40, 60, 220), "yellow": (240, 220, 40)}

@pytest.fixture(scope="session")
def captions():
    """All 12 captions of two colours, one above the other."""
    return [f"{upper} above {lower}" for upper in COLOURS for lower in COLOURS if upper != lower]


@pytest.fixture(scope="session")
def tokenizer(captions):
    return train_tokenizer(captions, 400)


@pytest.fixture(scope="session")
def pairs(captions, tmp_path_factory):
    """A manifest of 96 pictures of 40 x 40 pixels, each the two colours of its caption one above the other."""
    folder, rows = tmp_path_factory.mktemp("pairs"), []
    for index in range(96):
        caption = captions[index % 12]
        upper, lower = (np.array(COLOURS[name]) for name in caption.split(" above "))
        noise = np.random.default_rng(index).normal(0, 12, (40, 40, 3))
        pixels = np.where(np.arange(40)[:, None, None] < 20, upper, lower) + noise
        path = folder / f"{index}.png"
        Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(path)
        split = "valid" if index >= 72 else "train"
        size = path.stat().st_size
        place = {"file": str(path), "offset": 0, "num_bytes": size, "width": 40, "height": 40, "crc32": 0}
        rows.append({"pair_id": str(index), "image_id": str(index), "caption": caption, "split": split, **place})
    return manifest_from_rows(rows)


@pytest.fixture(params=[TRANSFORMER, RESNET], ids=["transformer", "resnet"])
def clip(request, tokenizer):
    torch.manual_seed(0)
    return build_clip(ClipConfig(image_size=32, text_vocab_size=tokenizer.vocab_size, towers=request.param)).eval()
