"""Token stores written the way the pipeline writes them, from dense arrays."""

from pathlib import Path

import numpy as np
import pandas as pd

from dalle.data.token_shards import in_shards, join_shards, write_shard


def write_store(
    folder: Path,
    image_tokens: np.ndarray,
    pairs: pd.DataFrame,
    *,
    codebook_size: int,
    grid_size: int,
    dvae_sha256: str,
    pairs_per_shard: int,
) -> None:
    shards = folder.with_name(f"{folder.name}-shards")
    numbers = pd.DataFrame({"row": range(len(pairs))})
    rows = [part["row"].to_numpy() for part in in_shards([numbers], pairs_per_shard)]
    for number, chosen in enumerate(rows):
        part = image_tokens[chosen], pairs.iloc[chosen]
        write_shard(shards, number, *part, codebook_size=codebook_size, grid_size=grid_size)
    sizes = {"views": image_tokens.shape[1], "codebook_size": codebook_size, "grid_size": grid_size}
    join_shards(shards, len(rows), folder, **sizes, dvae_sha256=dvae_sha256)
