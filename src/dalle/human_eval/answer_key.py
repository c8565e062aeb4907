"""key.csv, which says whose picture stood where: the secret that turns a vote for the left into one for a model."""

from pathlib import Path

import pandas as pd

COLUMNS = ("sheet_id", "batch", "position", "pair_id", "kind", "caption_id", "caption", "left", "right")
PAIR, REPEAT, NOISE, OTHER_CAPTION = "pair", "repeat", "attention_noise", "attention_caption"
KINDS = (PAIR, REPEAT, NOISE, OTHER_CAPTION)


def read_key(path: Path) -> pd.DataFrame:
    """COLUMNS of `path`, batch and position as numbers, all else as text; a ValueError names the rule that it breaks."""
    if not path.is_file():
        raise ValueError(f"{path}: no such file; the stage human_eval writes it with the sheets")
    key = pd.read_csv(path, dtype=str, keep_default_na=False)
    missing = [column for column in COLUMNS if column not in key]
    if missing:
        raise ValueError(f"{path}: columns {missing} are missing (it has: {', '.join(key.columns)})")
    key = key[list(COLUMNS)]
    unknown = sorted(set(key["kind"]) - set(KINDS))
    if unknown:
        raise ValueError(f"{path}: kinds {unknown} are unknown; known: {', '.join(KINDS)}")
    if key["pair_id"].duplicated().any():
        raise ValueError(f"{path}: pair_id {key['pair_id'][key['pair_id'].duplicated()].iloc[0]} occurs twice")
    try:
        return key.astype({"batch": int, "position": int})
    except ValueError as error:
        raise ValueError(f"{path}: batch and position must be whole numbers: {error}") from None


def compared_models(key: pd.DataFrame) -> set[str]:
    """The names of the two models that the pairs compare."""
    pairs = key[key["kind"] == PAIR]
    return set(pairs["left"]) | set(pairs["right"])


def right_choice(kind: str, question: str, left: str) -> str | None:
    """What an attentive rater chooses in a pair made to check attention; None where there is no right answer."""
    asked = {NOISE: ("realism", "match"), OTHER_CAPTION: ("match",)}
    if question not in asked.get(kind, ()):
        return None
    return "left" if left == "real" else "right"
