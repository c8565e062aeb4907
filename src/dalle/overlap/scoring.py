"""How good a search was: against synthetic copies, whose originals are known, and against planted ones."""

import numpy as np


def calibration(own: np.ndarray, others: np.ndarray, precision: float) -> dict[str, float]:
    """What a threshold would do, from similarities of copies to their `own` originals and of `others` to the nearest image.

    `others` are not copies of anything they were compared with. `suggested_threshold` is the lowest similarity of a copy at
    which a share `precision` of all that are found are copies (where there is none, that of the closest copy).
    """
    thresholds = np.unique(own)
    found, wrong = ((among >= thresholds[:, None]).sum(axis=1) for among in (own, others))
    shares = found / (found + wrong)
    chosen = int(np.argmax(shares >= precision)) if (shares >= precision).any() else -1
    return {
        "valid/suggested_threshold": float(thresholds[chosen]),
        "valid/precision": float(shares[chosen]),
        "valid/recall": float(found[chosen] / len(own)),
    }


def precision_and_recall(found: np.ndarray, planted: np.ndarray) -> dict[str, float]:
    """Of the images `found`, bool (M,), against those that are there, `planted`; without a denominator there is no number."""
    right = int((found & planted).sum())
    shares = {"precision": (right, int(found.sum())), "recall": (right, int(planted.sum()))}
    return {name: part / whole for name, (part, whole) in shares.items() if whole}


def average_precision(similarity: np.ndarray, planted: np.ndarray) -> float:
    """Mean over the planted images of the precision at a threshold that just includes each: 1 for a perfect order.

    Threshold-free, so that it compares searches. Images of equal similarity come in together.
    """
    if not planted.any():
        raise ValueError("there is nothing to find: no image is planted")
    thresholds = similarity[planted]
    reached = similarity[None] >= thresholds[:, None]
    return float((reached[:, planted].sum(axis=1) / reached.sum(axis=1)).mean())
