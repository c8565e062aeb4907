"""How real one picture looks, as a number (Kynkaanniemi et al. 2019, section 5): how deep it lies among real features."""

import numpy as np

from dalle.evaluation.precision_recall import Manifold, squared_distances

CLOSEST = 1e-12  # of a squared distance: a real picture is in no place but its own


def realism_scores(features: np.ndarray, reference: Manifold) -> np.ndarray:
    """The logarithm of the realism score of each of `features` (n, d), (n,): above 0 on the reference's manifold, below off it.

    As there, the half of the balls that reach furthest is left out: they lie where real pictures are few.
    """
    kept = reference.reach <= np.median(reference.reach)
    reach = np.log(np.maximum(reference.reach[kept], CLOSEST))
    blocks = squared_distances(features.astype(np.float64), reference.features[kept])
    return np.concatenate([(reach - np.log(np.maximum(block, CLOSEST))).max(axis=1) / 2 for block in blocks])
