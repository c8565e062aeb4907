"""Rule: a CLIP finds that image and caption do not belong together."""

from collections.abc import Iterator
from dataclasses import dataclass

from dalle.data.filtering.parts import Parts

ORDER = 90  # after all others: each pair goes through two networks
WORDS = "caption and image disagree"


@dataclass(frozen=True, kw_only=True)
class Config:
    """Pairs below `min_score`, the cosine similarity by the model in folder `clip` whose weights have the `clip_sha256`.

    `tokenizer` is the folder of the captions' byte-pair encoding that it was trained with.
    """

    clip: str
    clip_sha256: str
    tokenizer: str
    min_score: float

    def __post_init__(self) -> None:
        if not -1 <= self.min_score <= 1:
            raise ValueError(f"min_score must be from -1 to 1, got {self.min_score}")


def explain_all(parts: Parts, config: Config) -> Iterator[list[str]]:
    """Pairs with a lower score than `min_score`; scores are computed in this process, a part at a time."""
    assert parts.clip_scores is not None, "who switches the rule on gives the scores"
    for scores in parts.map_here("scores", parts.clip_scores):
        low = scores < config.min_score
        yield [f"similarity {score:.3f}" if is_low else "" for score, is_low in zip(scores, low, strict=True)]
