"""Tiny images, tar files and manifests in the real layouts."""

import io
import tarfile
from pathlib import Path

import numpy as np
from PIL import Image

from dalle.data.manifest import manifest_from_rows
from dalle.data.sources.rows import describe_image


def picture(seed: int, width: int = 48, height: int = 40) -> Image.Image:
    """A smooth picture unlike those of other seeds."""
    values = np.random.default_rng(seed).integers(0, 256, (4, 4, 3), dtype=np.uint8)
    return Image.fromarray(values).resize((width, height), Image.Resampling.BICUBIC)


def encoded(image: Image.Image, kind: str = "JPEG", **options) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def write_tar(path: Path, members: dict[str, bytes]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w") as tar:
        for name, data in members.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
    return path


def make_manifest(folder: Path, images: list[bytes], captions: list[str] | None = None):
    """A manifest of all images one behind the other in a single file, with some bytes before the first."""
    file = folder / "images.bin"
    start, rows = 7, []
    for index, data in enumerate(images):
        caption = captions[index] if captions else f"the picture number {index} here"
        image = describe_image(data, file, start)
        rows.append({"pair_id": f"p{index:04d}", "image_id": f"i{index:04d}", "caption": caption, **image, "split": "train"})
        start += len(data)
    file.write_bytes(b"\xff" * 7 + b"".join(images))
    return manifest_from_rows(rows)
