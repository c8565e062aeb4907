"""Kernel inception distance (Binkowski et al. 2018): the unbiased squared MMD under the kernel (x.y / d + 1)^3.

Unlike FID it has no bias at few samples, so it is the number to trust in small runs; it can be below zero.
"""

import numpy as np

# torch-fidelity's draws are the protocol: the same seed of the same generator gives the same number
SUBSET_SEED = 2020


def kid(features: np.ndarray, reference: np.ndarray, *, subsets: int, subset_size: int) -> tuple[float, float]:
    """Mean and standard deviation over `subsets` draws of `subset_size` images of each set, without replacement."""
    smallest = min(len(features), len(reference))
    if not 2 <= subset_size <= smallest:
        rule = f"between 2 and the number of images of the smaller set ({smallest})"
        raise ValueError(f"kid_subset_size must be {rule}, got {subset_size}")
    random = np.random.RandomState(SUBSET_SEED)
    values = []
    for _ in range(subsets):
        x = features[random.choice(len(features), subset_size, replace=False)].astype(np.float64)
        y = reference[random.choice(len(reference), subset_size, replace=False)].astype(np.float64)
        values.append(squared_mmd(x, y))
    return float(np.mean(values)), float(np.std(values))


def squared_mmd(x: np.ndarray, y: np.ndarray) -> float:
    """The unbiased estimate of the squared maximum mean discrepancy of two sets (n, d) of one size."""
    n = len(x)
    within = sum(kernel.sum() - np.trace(kernel) for kernel in (polynomial_kernel(x, x), polynomial_kernel(y, y)))
    return float(within / (n * (n - 1)) - 2 * polynomial_kernel(x, y).mean())


def polynomial_kernel(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    return (x @ y.T / x.shape[1] + 1) ** 3
