"""Rule: the image has fewer pixels a side than are worth enlarging."""

from dataclasses import dataclass

import pandas as pd

ORDER = 30
WORDS = "too few pixels"


@dataclass(frozen=True, kw_only=True)
class Config:
    """Pixels of the shorter side of what is kept."""

    min_side: int

    def __post_init__(self) -> None:
        if self.min_side < 1:
            raise ValueError(f"min_side must be at least 1, got {self.min_side}")


def explain(pairs: pd.DataFrame, config: Config) -> pd.Series:
    """Images with a side below `min_side`; unreadable headers are left to `undecodable`."""
    side = pairs[["width", "height"]].min(axis=1)
    small = (side > 0) & (side < config.min_side)
    details = pd.Series("", index=pairs.index, dtype=str)
    details[small] = pairs.width[small].astype(str) + " x " + pairs.height[small].astype(str) + " pixels"
    return details
