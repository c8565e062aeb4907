"""What is measured and how: all that two numbers must share before they may be compared."""

from dataclasses import dataclass

from dalle.evaluation.blur import KINDS
from dalle.evaluation.extractors import FEATURES, require_weights
from dalle.evaluation.fid_infinity import FEWEST_FOR_INFINITY


@dataclass(frozen=True, kw_only=True)
class Protocol:
    """Radii are for pictures of `blur_reference_size` pixels and scale with the size of those at hand.

    `weights` is the file (for `clip` the model folder) that `features` other than lite0 are computed with, and
    `weights_sha256` how its hash begins, where it is not the published file.
    """

    features: str
    weights: str | None
    weights_sha256: str | None
    blur_kind: str
    blur_radii: tuple[float, ...]
    blur_reference_size: int
    inception_splits: int
    kid_subsets: int
    kid_subset_size: int
    neighbourhood: int
    bootstrap: int
    fid_infinity: bool

    def __post_init__(self) -> None:
        for name, known in (("features", FEATURES), ("blur_kind", KINDS)):
            if getattr(self, name) not in known:
                raise ValueError(f"{name}: {getattr(self, name)!r} is not known; known: {', '.join(known)}")
        require_weights(self.features, self.weights)
        if self.features == "lite0" and (self.weights or self.weights_sha256):
            raise ValueError("weights and weights_sha256 must be null for features lite0, whose file is in a package")
        if list(self.blur_radii) != sorted(set(self.blur_radii)) or self.blur_radii[:1] != (0,):
            raise ValueError(f"blur_radii must rise from 0 (where reranking is measured), got {list(self.blur_radii)}")
        limits = {
            "blur_reference_size": 1, "inception_splits": 1, "kid_subsets": 1, "kid_subset_size": 2, "neighbourhood": 1,
            "bootstrap": 2,
        }  # fmt: skip
        for name, least in limits.items():
            if getattr(self, name) < least:
                raise ValueError(f"{name} must be at least {least}, got {getattr(self, name)}")

    def check_sizes(self, num_samples: int, num_reference: int) -> None:
        """A ValueError unless every metric can be taken of so many images; before any features are."""
        fewest = min(num_samples, num_reference)
        if fewest < 2:
            raise ValueError(f"an evaluation needs at least 2 images on each side, got {num_samples} and {num_reference}")
        sizes = f"{num_samples} samples and {num_reference} reference images"
        limits = {"inception_splits": num_samples, "kid_subset_size": fewest, "neighbourhood": fewest - 1}
        for name, most in limits.items():
            if getattr(self, name) > most:
                raise ValueError(f"{name} must be at most {most}, got {getattr(self, name)}; there are {sizes}")
        if self.fid_infinity and num_samples < FEWEST_FOR_INFINITY:
            raise ValueError(f"fid_infinity needs at least {FEWEST_FOR_INFINITY} images; there are {sizes}")
