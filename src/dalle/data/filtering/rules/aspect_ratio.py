"""Rule: the image is so narrow or wide that a square crop would lose what its caption mentions."""

from dataclasses import dataclass

import pandas as pd

ORDER = 40
WORDS = "too wide or too tall"


@dataclass(frozen=True, kw_only=True)
class Config:
    """Width / height of what is kept, bounds included."""

    min: float
    max: float

    def __post_init__(self) -> None:
        if not 0 <= self.min <= 1 <= self.max:
            raise ValueError(f"min <= 1 <= max must hold, got {self.min} and {self.max}")


def explain(pairs: pd.DataFrame, config: Config) -> pd.Series:
    """Images outside [min, max]; unreadable headers are left to `undecodable`."""
    known = (pairs.width > 0) & (pairs.height > 0)
    # compared without division, so that exactly 1:2 is kept
    outside = known & ((pairs.width < config.min * pairs.height) | (pairs.width > config.max * pairs.height))
    details = pd.Series("", index=pairs.index, dtype=str)
    details[outside] = pairs.width[outside].astype(str) + " x " + pairs.height[outside].astype(str) + " pixels"
    return details
