"""The numbers that tell a run in a few words, and how they are written above an axis or a column."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace

from dalle.report.frames import METRICS

BEST_OF_MAX = "_best_of_max"  # stands for the largest N that a run has
ELBO_GAP = "valid/elbo_gap"  # the relaxed bound less the true one; derived, where a run did not log it
NOTES = {"higher": "↑ higher is better", "lower": "↓ lower is better", "zero": "nearer 0 is better", "": ""}


@dataclass(frozen=True, kw_only=True)
class Headline:
    """One metric of one stage (`evaluate` stands for each of its domains); `rank` 0 is the first to be drawn."""

    stage: str
    key: str
    label: str
    unit: str = ""
    better: str = ""  # higher, lower, zero; empty: unknown
    digits: str = ".4g"
    rank: int = 99

    @property
    def address(self) -> str:
        return f"{self.stage}:{self.key}"

    @property
    def is_share(self) -> bool:
        return self.digits.endswith("%")

    @property
    def least_span(self) -> float:
        """What an axis shows at least, 20 of the last digit quoted: a smaller difference should look small."""
        decimals = self.digits[1:-1]
        return 20 * 10.0 ** -(int(decimals) + 2 * self.is_share) if self.digits[-1] in "f%" else 0.0

    @property
    def notes(self) -> list[str]:
        """Unit and direction, from the fullest to the shortest wording."""
        note = NOTES[self.better]
        short = note.removesuffix(" is better")
        wordings = [", ".join(part for part in parts if part) for parts in ((self.unit, note), (self.unit, short), (short,))]
        return list(dict.fromkeys([*wordings, note[:1] if self.better != "zero" else "", ""]))


HEADLINES = (
    Headline(stage="train_dvae", key="valid/psnr_db", label="PSNR", unit="dB", better="higher", digits=".2f", rank=2),
    Headline(stage="train_dvae", key="valid/codebook_used", label="Codebook used", better="higher", digits=".1%", rank=3),
    Headline(
        stage="train_dvae", key="valid/codebook_perplexity", label="Codebook perplexity", better="higher", digits=".0f",
        rank=11,
    ),
    Headline(
        stage="train_dvae", key="valid/reconstruction_fid", label="Reconstruction FID", better="lower", digits=".1f", rank=10,
    ),
    Headline(
        stage="train_dvae", key="valid/elbo_true", label="True bound", unit="nats a sub-pixel", better="higher",
        digits=".3f", rank=8,
    ),
    Headline(
        stage="train_dvae", key=ELBO_GAP, label="Relaxed − true bound", unit="nats", better="zero", digits=".4f", rank=7,
    ),
    Headline(
        stage="train_prior", key="valid/image_loss", label="Image loss", unit="nats a token", better="lower",
        digits=".3f", rank=4,
    ),
    Headline(
        stage="train_clip", key="valid/retrieval_top1", label="CLIP retrieval, top 1", better="higher", digits=".1%", rank=6,
    ),
    Headline(stage="evaluate", key="fid/dalle_best_of_max", label="FID", better="lower", digits=".1f", rank=0),
    Headline(
        stage="evaluate", key="inception_score/dalle_best_of_max", label="Inception score", better="higher",
        digits=".2f", rank=9,
    ),
    Headline(
        stage="evaluate", key="caption_accuracy/dalle_best_of_max", label="Caption accuracy", better="higher",
        digits=".1%", rank=1,
    ),
    Headline(
        stage="complete", key="success/dalle_best_of_max", label="Completions as asked", better="higher", digits=".1%", rank=12,
    ),
)  # fmt: skip


def words_for(stage: str, key: str) -> Headline:
    """The headline itself, with its domain where it has one, or plain words for any other metric."""
    name, _, domain = stage.partition("-")
    for headline in HEADLINES:
        if (headline.stage, headline.key) == (name, key):
            label = headline.label + (f" on {domain}" if domain else "")
            behind = 0 if domain in ("", "coco") else 5  # the general domain comes first
            return replace(headline, stage=stage, label=label, rank=headline.rank + behind)
    metric = METRICS.get(key.partition("/")[0])
    if metric is None:
        return Headline(stage=stage, key=key, label=key, unit=stage)
    model = key.partition("/")[2].replace("_", " ")
    return Headline(
        stage=stage, key=key, label=f"{metric.label}, {model}", unit=domain, better=metric.better, digits=metric.digits
    )


def value_of(metrics: Mapping[str, float], key: str) -> float | None:
    """A metric by its key, also one that is derived from others; None where a run does not have it."""
    if key == ELBO_GAP and {"valid/elbo_relaxed", "valid/elbo_true"} <= metrics.keys():
        return metrics["valid/elbo_relaxed"] - metrics["valid/elbo_true"]
    return metrics.get(full_key(metrics, key))


def full_key(metrics: Mapping[str, float], key: str) -> str:
    """`fid/dalle_best_of_64` for `fid/dalle_best_of_max`."""
    if not key.endswith(BEST_OF_MAX):
        return key
    stem = key.removesuffix("max")
    numbers = [int(name.removeprefix(stem)) for name in metrics if re.fullmatch(re.escape(stem) + r"\d+", name)]
    return f"{stem}{max(numbers)}" if numbers else key
