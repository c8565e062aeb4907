"""FID at infinitely many samples (Chong and Forsyth 2020): its bias is about linear in 1/N, so a line finds its end."""

import numpy as np

from dalle.evaluation.fid import FrechetReference
from dalle.randomness import numpy_generator

NUM_POINTS = 15  # sizes between a tenth of the samples and all of them
FEWEST_FOR_INFINITY = 10


def fid_infinity(features: np.ndarray, reference: FrechetReference, *, seed: int) -> tuple[float, float]:
    """The intercept of FID over 1/N, and its standard error, from random parts of `features` (n, d).

    Only the samples go to infinity, the reference stays as large as it is. The line is straight where parts have more images
    than features; below that the intercept is still biased, the same for all models at one N.
    """
    if len(features) < FEWEST_FOR_INFINITY:
        raise ValueError(f"fid_infinity needs at least {FEWEST_FOR_INFINITY} images, got {len(features)}")
    from scipy.stats import linregress  # half a second of imports in every stage, since params.yaml is checked with this module

    sizes = np.unique(np.linspace(max(2, len(features) // 10), len(features), NUM_POINTS).astype(int))
    distances = []
    for size in sizes.tolist():
        part = numpy_generator(seed, "fid infinity", size).permutation(len(features))[:size]
        distances.append(reference.distance(features[np.sort(part)]))
    line = linregress(1 / sizes, distances)
    return float(line.intercept), float(line.intercept_stderr)
