"""Weights that nobody may ship: a file of the user's, recognised by its hash and read as tensors only."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor


@dataclass(frozen=True, kw_only=True)
class PublishedWeights:
    """A file that features need: its name and where it is published; `sha256` is how its hash begins."""

    features: str
    file: str
    where: str
    sha256: str

    @property
    def wanted(self) -> str:
        """What to get, and where."""
        return f"{self.features} needs the file {self.file} ({self.where}; its sha256 begins with {self.sha256})"

    def read(self, path: str, sha256: str | None) -> dict[str, Tensor]:
        """The tensors of the file at `path`; its hash must begin with `sha256`, or as the published one where that is None."""
        check_sha256(Path(path), sha256 or self.sha256, f"features: {self.wanted}")
        try:
            return torch.load(path, map_location="cpu", weights_only=True)
        except Exception as error:  # a damaged file raises nearly everything
            raise ValueError(f"{path}: cannot be read as tensors: {error}") from None


def check_sha256(path: Path, expected: str, wanted: str) -> None:
    """A ValueError unless the file is there and its SHA-256 begins with `expected`; `wanted` says what it should be."""
    try:
        with path.open("rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise ValueError(f"{path}: cannot be opened: {error.strerror}; {wanted}") from None
    if not found.startswith(expected.lower()):
        raise ValueError(f"{path}: its sha256 is {found} and should begin with {expected}; {wanted}")
