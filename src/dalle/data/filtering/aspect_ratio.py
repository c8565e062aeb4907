"""Rule: the image is so narrow or wide that a square crop would lose what its caption mentions."""

import pandas as pd


def aspect_ratio(manifest: pd.DataFrame, min_aspect: float, max_aspect: float) -> pd.Series:
    """Images with width / height outside [min_aspect, max_aspect]; unreadable headers are left to `undecodable`."""
    known = (manifest.width > 0) & (manifest.height > 0)
    # compared without division, so that exactly 1:2 is kept
    outside = (manifest.width < min_aspect * manifest.height) | (manifest.width > max_aspect * manifest.height)
    details = manifest.width.astype(str) + " x " + manifest.height.astype(str) + " pixels"
    return details.where(known & outside, "")
