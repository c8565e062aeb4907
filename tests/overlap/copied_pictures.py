"""A small world whose evaluation pictures partly stand on the web, cut, scaled and saved anew."""

import io

import numpy as np
from PIL import Image

from dalle.data.manifest import manifest_from_rows
from dalle.overlap.model import DetectorConfig
from dalle.overlap.train import TrainDetectorConfig
from dalle.training.loop import OptimConfig
from dalle.training.schedules import Schedule

NETWORK = DetectorConfig(image_size=16, levels=2, width=8, grid_channels=8, embed_dim=32)


def picture(seed: int, width: int = 56, height: int = 48) -> Image.Image:
    """A smooth picture unlike those of other seeds."""
    values = np.random.default_rng(seed).integers(0, 256, (4, 4, 3), dtype=np.uint8)
    return Image.fromarray(values).resize((width, height), Image.Resampling.BICUBIC)


def jpeg(image: Image.Image, quality: int) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=quality)
    return buffer.getvalue()


def posted_again(image: Image.Image) -> bytes:
    box = (2, 1, image.width - 1, image.height - 2)
    return jpeg(image.resize((50, 44), Image.Resampling.BICUBIC, box=box), 75)


def manifest(file, images: list[bytes], *, prefix: str, split) -> object:
    """A manifest of `images` in one file; `split(index)` names the split of each."""
    rows, start = [], 0
    for index, data in enumerate(images):
        name = f"{prefix}{index:03d}"
        place = {"file": str(file), "offset": start, "num_bytes": len(data), "width": 56, "height": 48, "crc32": 0}
        rows.append({"pair_id": name, "image_id": name, "caption": name, "split": split(index), **place})
        start += len(data)
    file.write_bytes(b"".join(images))
    return manifest_from_rows(rows)


def detector_config(**changes) -> TrainDetectorConfig:
    optim = {
        "updates": 60, "batch_size": 32, "shards": 1, "plateau": None, "betas": (0.9, 0.98), "eps": 1e-8,
        "learning_rate": Schedule(shape="cosine", start=3e-3, end=1e-4, updates=60, warmup_updates=5),
        "weight_decay": 0.01, "clip_norm": 1.0, "ema_decay": 0.9, "ema_every": 1, "precision": "fp32", "validate_every": 30,
    }  # fmt: skip
    optim = OptimConfig(**{**optim, **changes})
    return TrainDetectorConfig(
        network=NETWORK, temperature=0.07, validation_images=24, validation_precision=0.95, optim=optim
    )
