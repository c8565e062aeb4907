"""Inception score (Salimans et al. 2016): exp E KL(p(class | image) || p(class)), over splits of the images."""

import numpy as np
from scipy.special import log_softmax

# torch-fidelity's shuffle is the protocol: the same seed of the same generator gives the same number
SHUFFLE_SEED = 2020


def inception_score(logits: np.ndarray, *, splits: int, seed: int = SHUFFLE_SEED) -> tuple[float, float]:
    """Mean and standard deviation over `splits` equal parts of logits (N, classes), in an order drawn from `seed`."""
    if not 1 <= splits <= len(logits):
        raise ValueError(f"inception_splits must be between 1 and the number of images ({len(logits)}), got {splits}")
    order = np.random.RandomState(seed).permutation(len(logits))
    log_p = log_softmax(logits[order].astype(np.float64), axis=1)
    bounds = [index * len(logits) // splits for index in range(splits + 1)]
    scores = [score_of_split(log_p[start:stop]) for start, stop in zip(bounds, bounds[1:], strict=False)]
    return float(np.mean(scores)), float(np.std(scores))


def score_of_split(log_p: np.ndarray) -> float:
    """exp of the mean KL divergence from the marginal, from log-probabilities (n, classes)."""
    p = np.exp(log_p)
    log_marginal = np.log(p.mean(axis=0))
    return float(np.exp((p * (log_p - log_marginal)).sum(axis=1).mean()))
