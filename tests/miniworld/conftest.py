"""One tiny world, rendered once for all tests that only look at it."""

import io
import tarfile

import pytest
from PIL import Image

from dalle.miniworld.corpora import MiniworldConfig, render_coco, render_cub, render_panels, render_web

SEED = 7


@pytest.fixture(scope="session")
def config():
    return MiniworldConfig(
        variety="rich",
        web_pairs=400, coco_train_images=20, coco_val_images=100, cub_species=8, cub_images_per_species=25, panels=12
    )


@pytest.fixture(scope="session")
def world(tmp_path_factory, config):
    root = tmp_path_factory.mktemp("miniworld")
    render_web(config, SEED, root / "web")
    render_coco(config, SEED, root / "coco")
    render_cub(config, SEED, root / "cub")
    render_panels(config, SEED, root / "panels")
    return root


@pytest.fixture(scope="session")
def web_members(world):
    """Member name -> bytes over all shards."""
    members = {}
    for shard in sorted((world / "web").glob("*.tar")):
        with tarfile.open(shard) as tar:
            members |= {f"{shard.stem}/{member.name}": tar.extractfile(member).read() for member in tar}
    return members


@pytest.fixture(scope="session")
def open_image():
    return lambda content: Image.open(io.BytesIO(content)).convert("RGB")
