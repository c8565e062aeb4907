"""The corpus `web`: pairs as WebDataset shards the way img2dataset writes them, with the truth in the metadata."""

import hashlib
import io
import itertools
import json
import tarfile
from functools import partial
from pathlib import Path

from dalle.miniworld.birds import Species
from dalle.miniworld.items import CocoItem
from dalle.miniworld.parallel import map_in_order
from dalle.miniworld.variety import Variety
from dalle.miniworld.web_pairs import WebPair, make_pair
from dalle.miniworld.web_plan import WebItem
from dalle.progress import track

PAIRS_PER_SHARD = 1000


def write_web(
    folder: Path, items: list[WebItem], species: list[Species], evaluated: frozenset[int], seed: int, variety: Variety
) -> None:
    """Shards `00000.tar`, ... of a thousand pairs.

    `species` are those that birds of the web belong to; scenes that look like one of the `evaluated` come as leaks alone.
    """
    make = partial(make_pair, species=species, evaluated=evaluated, seed=seed, variety=variety)
    made = map_in_order(make, items)
    pairs = zip(items, track(made, what="web", unit="pairs", total=len(items)), strict=True)
    for start in range(0, len(items), PAIRS_PER_SHARD):
        shard = start // PAIRS_PER_SHARD
        with tarfile.open(folder / f"{shard:05d}.tar", "w", format=tarfile.USTAR_FORMAT) as tar:
            for item, pair in itertools.islice(pairs, PAIRS_PER_SHARD):
                key = f"{shard:05d}{item.index % PAIRS_PER_SHARD:04d}"
                _add(tar, f"{key}.jpg", pair.image_bytes)
                _add(tar, f"{key}.txt", pair.caption.encode())
                _add(tar, f"{key}.json", json.dumps(_metadata(item, pair, key), ensure_ascii=False, indent=1).encode())


def _metadata(item: WebItem, pair: WebPair, key: str) -> dict:
    leak_of = ""
    if item.leak is not None:
        leak_of = f"{'coco' if isinstance(item.leak, CocoItem) else 'cub'}:{item.leak.image_id}"
    return {
        "url": f"https://miniworld.example/{key}.jpg",
        "caption": pair.caption,
        "key": key,
        "status": "success",
        "error_message": None,
        "width": pair.size[0],
        "height": pair.size[1],
        "original_width": pair.size[0],
        "original_height": pair.size[1],
        "exif": "{}",
        "sha256": hashlib.sha256(pair.image_bytes).hexdigest(),
        "miniworld": {
            "kind": item.kind,
            "junk": item.junk,
            "leak_of": leak_of,
            "heldout": False,
            "attributes": json.loads(pair.attributes),
        },
    }


def _add(tar: tarfile.TarFile, name: str, content: bytes) -> None:
    member = tarfile.TarInfo(name)  # owner 0 and time 0: the same bytes whenever it is written
    member.size, member.mode = len(content), 0o644
    tar.addfile(member, io.BytesIO(content))
