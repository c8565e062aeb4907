"""The models that turn captions into chosen pictures, loaded together and checked against each other (PAPER 2)."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from dalle.clip.model import load_clip
from dalle.data.bpe import CaptionTokenizer
from dalle.dvae.model import DVAE, load_dvae
from dalle.prior.kinds import AnyPrior, load_prior

if TYPE_CHECKING:
    import open_clip


@dataclass(frozen=True, kw_only=True)
class ModelSet:
    """`clip` is None where there is none: candidates can be drawn then, but nobody tells the better ones."""

    tokenizer: CaptionTokenizer
    prior: AnyPrior
    dvae: DVAE
    clip: "open_clip.CLIP | None"


def load_model_set(folder: Path) -> ModelSet:
    """The models in `folder/tokenizer`, `prior`, `dvae` and, where there is one, `clip`.

    Two whose sizes do not fit each other are a `ValueError` that names both: they were made by different runs.
    """
    models = ModelSet(
        tokenizer=CaptionTokenizer.load(folder / "tokenizer"),
        prior=load_prior(folder / "prior"),
        dvae=load_dvae(folder / "dvae"),
        clip=load_clip(folder / "clip") if (folder / "clip").is_dir() else None,
    )
    _check_vocabulary(folder, "prior", models.prior.config.text_vocab_size, models.tokenizer.vocab_size)
    if models.clip is not None:
        _check_vocabulary(folder, "clip", models.clip.config.text_vocab_size, models.tokenizer.vocab_size)
    drawn, decoded = ((config.grid_size, config.codebook_size) for config in (models.prior.config, models.dvae.config))
    if drawn != decoded:
        what = "a grid of {0} x {0} with a codebook of {1}"
        _refuse(folder, "prior", f"draws {what.format(*drawn)}", "dvae", f"decodes {what.format(*decoded)}")
    return models


def _check_vocabulary(folder: Path, model: str, expected: int, vocab_size: int) -> None:
    if expected != vocab_size:
        _refuse(folder, model, f"reads a vocabulary of {expected} text tokens", "tokenizer", f"has {vocab_size}")


def _refuse(folder: Path, one: str, does: str, other: str, instead: str) -> None:
    raise ValueError(f"{folder / one} {does}, {folder / other} {instead}: they are of different runs and do not fit together")
