"""The words around a comparison: over what its numbers are, and what they must not be taken for."""

from collections.abc import Iterable, Sequence

import pandas as pd

from dalle.report.frames import FEATURES, only_value, sample_words
from dalle.report.headlines import Headline
from harness.comparison import Comparison
from harness.params import as_text
from harness.variants import Variant

SCORES = ("fid", "inception_score", "kid")  # a number of them means something only under its features


def title_of(comparison: Comparison) -> str:
    number = len(comparison.variants)
    return f"Ablation of {comparison.axis}: {number} variants" if comparison.axis else f"{number} variants side by side"


def protocol(comparison: Comparison, stages: Iterable[str] = ()) -> list[str]:
    """What the numbers of `stages` (all that have columns) are over: updates of each training; features, images and N."""
    stages = list(dict.fromkeys(stages or [column.stage for column in comparison.columns]))
    trained = [words for stage in stages if (words := _updates(comparison, stage))]
    judged: dict[str, list[str]] = {}
    for stage in stages:
        if words := _evaluation_words(comparison, stage):
            judged.setdefault(words, []).append(stage.partition("-")[2])
    scores = [f"FID on {' and '.join(domains)}: {words}" for words, domains in judged.items()]
    return [*([" · ".join(trained)] if trained else []), *scores] or ["final metrics, and the curves that differ"]


def cautions(comparison: Comparison) -> list[str]:
    """What the numbers must not be taken for."""
    lines = []
    fresh = [variant for variant in comparison.variants if "train_prior" in variant.metrics]
    shown = any((column.stage, column.key) == ("train_prior", "valid/image_loss") for column in comparison.columns)
    if shown and any(_differs(fresh, key) for key in comparison.differing if key.startswith(("train_dvae.", "image_size"))):
        lines.append("Image losses count the codes of each variant's own dVAE: over different codes they do not rank priors.")
    for stage in dict.fromkeys(column.stage for column in comparison.columns if is_score(column)):
        if len(features_of(comparison, stage)) > 1:
            lines.append(f"{stage}: scores under different features are on different scales, and left out of the figure.")
        if len({number for rows in _fid_rows(comparison, stage) for number in rows["num_samples"]}) > 1:
            lines.append(f"{stage}: FID and KID depend on the number of images, which is not the same for all.")
    inputs = dict.fromkeys(path for variant in comparison.variants for path in variant.inputs)
    if unlike := [path for path in inputs if len({variant.inputs.get(path) for variant in comparison.variants}) > 1]:
        lines.append(f"The runs read different {', '.join(unlike)}: not only the parameters shown tell them apart.")
    others = [key for key in comparison.differing if key != comparison.axis]
    if comparison.axis and others:
        lines.append(f"Not only {comparison.axis} differs, but also {', '.join(others)}.")
    return lines


def our_rows(table: pd.DataFrame, metric: str) -> pd.DataFrame:
    """DALL-E's rows without blur against the full reference, by N."""
    keep = (table["model"] == "dalle") & (table["metric"] == metric) & (table["reference"] == "all")
    return table[keep & (table["blur_radius"].fillna(0) == 0)].sort_values("candidates")


def features_of(comparison: Comparison, stage: str) -> set[str]:
    """Under which features the variants were scored."""
    return {only_value(rows, "features") for rows in _fid_rows(comparison, stage)}


def is_score(column: Headline) -> bool:
    return column.stage.startswith("evaluate-") and column.key.partition("/")[0] in SCORES


def _differs(variants: Sequence[Variant], key: str) -> bool:
    return len({as_text(variant.params.get(key)) for variant in variants}) > 1


def _updates(comparison: Comparison, stage: str) -> str:
    key = f"{stage}.optim.updates"
    ran = [variant for variant in comparison.variants if stage in variant.metrics and key in variant.params]
    return f"{stage}: {_span([variant.params[key] for variant in ran])} updates" if ran else ""


def _span(numbers: Sequence[int]) -> str:
    """"2,400", or "600–2,400"."""
    ends = min(numbers), max(numbers)
    return "–".join(f"{number:,}" for number in dict.fromkeys(ends))


def _evaluation_words(comparison: Comparison, stage: str) -> str:
    tables = _fid_rows(comparison, stage)
    if not tables:
        return ""
    features = " or ".join(FEATURES.get(name, name) for name in sorted(features_of(comparison, stage)))
    best = _span([int(rows["candidates"].max()) for rows in tables])
    return f"{features}, {sample_words(pd.concat(tables))}, best of {best} by CLIP"


def _fid_rows(comparison: Comparison, stage: str) -> list[pd.DataFrame]:
    tables = [variant.evaluations[stage] for variant in comparison.variants if stage in variant.evaluations]
    return [rows for table in tables if len(rows := our_rows(table, "fid"))]
