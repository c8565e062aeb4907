"""What the tidy evaluation table means: its metrics, features and blurs in words, and the rows a figure needs."""

from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

EVALUATION_COLUMNS = (
    "domain", "model", "features", "blur_kind", "blur_radius", "reference",
    "candidates", "num_samples", "metric", "value", "low", "high",
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class MetricWords:
    """How a metric is written above an axis."""

    label: str
    better: str
    digits: str  # a format specification, for tables

    @property
    def note(self) -> str:
        return {"lower": "↓ lower is better", "higher": "↑ higher is better"}[self.better]


METRICS = {
    "fid": MetricWords(label="FID", better="lower", digits=".1f"),
    "inception_score": MetricWords(label="Inception score", better="higher", digits=".2f"),
    "kid": MetricWords(label="KID", better="lower", digits=".4f"),
    "fid_infinity": MetricWords(label="FID at N = ∞", better="lower", digits=".1f"),
    "precision": MetricWords(label="Precision", better="higher", digits=".2f"),
    "recall": MetricWords(label="Recall", better="higher", digits=".2f"),
    "clip_score": MetricWords(label="CLIP score", better="higher", digits=".3f"),
    "caption_accuracy": MetricWords(label="Caption accuracy", better="higher", digits=".1%"),
    "oracle_accuracy": MetricWords(label="Any of N right", better="higher", digits=".1%"),
}
FEATURES = {
    "lite0": "EfficientNet-Lite0 features",
    "inception": "TF-Inception features",
    "dmgan": "Inception features as in DM-GAN's code",
    "clip": "features of the CLIP that reranks",
}
WITHOUT_CLASSES = ("dmgan", "clip")
FILTERS = {"pil": "PIL radius", "gaussian": "sigma", "lafite": "LAFITE's radius"}
BLURS = {kind: f"Gaussian blur ({words}) on samples and reference" for kind, words in FILTERS.items()}
BLURS |= {f"{kind}_originals_only": f"Gaussian blur ({words}) on the reference alone" for kind, words in FILTERS.items()}


def require_columns(frame: pd.DataFrame, columns: Sequence[str], what: str) -> None:
    for column in columns:
        if column not in frame.columns:
            raise ValueError(f"{what}: column '{column}' is missing (it has: {', '.join(map(str, frame.columns))})")


def domain_rows(frame: pd.DataFrame, domain: str) -> pd.DataFrame:
    """The rows of one domain; a ValueError names a missing column or domain."""
    require_columns(frame, EVALUATION_COLUMNS, "evaluation table")
    rows = frame[frame["domain"] == domain]
    if rows.empty:
        known = ", ".join(sorted(set(frame["domain"])))
        raise ValueError(f"evaluation table: no rows for domain '{domain}' (it has: {known})")
    return rows


def metric_rows(rows: pd.DataFrame, metric: str) -> pd.DataFrame:
    found = rows[rows["metric"] == metric]
    if found.empty:
        raise ValueError(f"evaluation table: no rows for metric '{metric}' (it has: {', '.join(sorted(set(rows['metric'])))})")
    return found


def only_value(rows: pd.DataFrame, column: str) -> str:
    """The one value of `column`: numbers under different features or blurs never share an axis."""
    values = sorted(set(rows[column].dropna().astype(str)))
    if len(values) != 1:
        raise ValueError(f"evaluation table: one axis needs a single value in '{column}', found {', '.join(values) or 'none'}")
    return values[0]


def class_metrics(features: str) -> tuple[str, ...]:
    """What is read off these features: without classes there is no Inception score."""
    return ("fid",) if features in WITHOUT_CLASSES else ("fid", "inception_score")


def require_equal_samples(rows: pd.DataFrame) -> None:
    """A ValueError where models bring different numbers of images: FID falls with them, so no line compares with another."""
    numbers = rows.groupby("model")["num_samples"].agg(lambda column: ", ".join(map(str, sorted(set(column.astype(int))))))
    if numbers.nunique() > 1:
        said = "; ".join(f"{model} {number}" for model, number in numbers.items())
        raise ValueError(f"evaluation table: FID at unequal N cannot be compared, 'num_samples' differs between models: {said}")


def most_candidates(rows: pd.DataFrame) -> pd.DataFrame:
    """For each model the rows of its largest number of candidates: the sample that a reader would be given."""
    candidates = rows["candidates"].fillna(1)
    return rows[candidates == candidates.groupby(rows["model"]).transform("max")]


def sample_words(rows: pd.DataFrame) -> str:
    """The number of images behind each value: "300 images" or "290-300 images"."""
    numbers = sorted(set(rows["num_samples"].dropna().astype(int)))
    if not numbers:
        raise ValueError("evaluation table: column 'num_samples' is empty; a score without its number of images means nothing")
    return f"{numbers[0]:,} images" if len(numbers) == 1 else f"{numbers[0]:,}–{numbers[-1]:,} images"
