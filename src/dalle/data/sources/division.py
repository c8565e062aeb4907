"""Which pictures of a captioned folder are trained on, and which are evaluated and never trained on."""

from collections.abc import Callable, Iterable
from pathlib import Path

import pandas as pd

from dalle.data.evaluation_captions import EVALUATION_SPLITS
from dalle.data.sources.walking import walk
from dalle.data.splits import assign_split
from dalle.randomness import derive_seed


def divided(fraction: float, seed: int) -> Callable[[str], str]:
    """'test' for about `fraction` of all images, else 'train', told by what an image is known by, and by nothing else.

    The draw is another than that of the images held out of training, which are taken from the 'train' ones.
    """
    own = derive_seed(seed, "folder")
    return lambda image: "test" if assign_split([image], fraction, own)[0] == "valid" else "train"


def as_corpus(manifest: pd.DataFrame, corpus: str) -> pd.DataFrame:
    """A captioned folder as what it stands for: of training pairs the 'train' ones, of pictures to complete the others.

    What is evaluated is called as the domain's evaluation split is, whether the folder says val or test.
    """
    trained = manifest["split"] == "train"
    if corpus == "web":
        return manifest[trained].reset_index(drop=True)
    if corpus == "panels":
        return manifest[~trained].assign(split="test").reset_index(drop=True)
    return manifest.assign(split=manifest["split"].where(trained, EVALUATION_SPLITS[corpus]))


def require_apart(training: Path, evaluated: Iterable[tuple[str, Path]]) -> None:
    """A `ValueError` where pictures would be trained on and evaluated: of a folder within another, or one that both link to."""
    training = training.resolve()
    trained = _folders_read(training)
    for key, folder in evaluated:
        folder = folder.resolve()
        if folder != training and (folder.is_relative_to(training) or training.is_relative_to(folder)):
            inner, outer = (folder, training) if folder.is_relative_to(training) else (training, folder)
            raise ValueError(
                f"{key}: of {folder} and the training pairs in {training} one lies within the other ({inner} in {outer}), so "
                'pictures would be trained on and evaluated: give both one folder, which is divided, or folders side by side'
            )
        shared = sorted(trained & _folders_read(folder)) if folder != training else []
        if shared:
            raise ValueError(
                f"{key}: {folder} and the training pairs in {training} both lead to the pictures in {shared[0]}, by links, "
                "which would be trained on and evaluated: give both one folder, which is divided, or take a link away"
            )


def _folders_read(folder: Path) -> set[Path]:
    """Where the files below a folder really lie."""
    return {parent.resolve() for parent in {path.parent for path in walk(folder).files}}
