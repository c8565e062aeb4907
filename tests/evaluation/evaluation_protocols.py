"""A protocol small enough for a dozen images."""

from dalle.evaluation.protocol import Protocol


def small_protocol(**changes):
    small = {
        "features": "lite0",
        "weights": None,
        "weights_sha256": None,
        "blur_kind": "pil",
        "blur_radii": (0.0, 2.0, 8.0),
        "blur_reference_size": 256,
        "inception_splits": 2,
        "kid_subsets": 4,
        "kid_subset_size": 6,
        "neighbourhood": 2,
        "bootstrap": 4,
        "fid_infinity": False,
    }
    return Protocol(**{**small, **changes})
