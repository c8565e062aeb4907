"""The numbers of a whole run, looked up by name: a number that is not there is named, never guessed."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import pandas as pd

from dalle.report.frames import EVALUATION_COLUMNS, FEATURES, only_value, require_columns
from dalle.report.verdicts import deviation


class Compared(NamedTuple):
    """Whose pictures the human evaluation compares, by the names of the models, and on what data in words."""

    model: str
    rival: str
    dataset: str


@dataclass(frozen=True, kw_only=True)
class Results:
    """Metrics by stage name (the contents of each stage's JSON) and the evaluation tables of all domains in one frame.

    `world` names the data in words ("the miniature world"), `names` a domain's where it is not what the domain is called
    after. Stages that did not run are simply absent; `compared` is there where votes are tallied, `seeds` (standard deviations
    by key) where the run was repeated, `variety` where the miniature world was rendered.
    """

    metrics: Mapping[str, Mapping[str, float]]
    evaluation: pd.DataFrame
    world: str
    names: Mapping[str, str]
    compared: Compared | None = None
    seeds: pd.Series | None = None
    variety: str | None = None

    def __post_init__(self) -> None:
        require_columns(self.evaluation, EVALUATION_COLUMNS, "evaluation table")

    def has(self, stage: str) -> bool:
        return stage in self.metrics

    def number(self, stage: str, key: str) -> float:
        """One metric of one stage; a nested section {"group": {"name": 1}} answers to "group/name"."""
        metrics = flattened(self.metrics.get(stage, {}))
        if key not in metrics:
            known = ", ".join(sorted(metrics)) or "none"
            raise ValueError(f"metrics of stage '{stage}': '{key}' is missing (there are: {known})")
        return metrics[key]

    def name(self, domain: str) -> str:
        return self.names.get(domain, domain)

    @property
    def domains(self) -> list[str]:
        """The evaluated domains, the general one first."""
        return sorted(set(self.evaluation["domain"]), key=lambda domain: (domain != "coco", domain))

    def rows(self, domain: str, metric: str, model: str = "dalle", reference: str = "all") -> pd.DataFrame:
        """Rows of one metric without blur, by number of candidates; perhaps none."""
        return self.at_radius(domain, metric, 0.0, model, reference)

    def deviation(self, row: pd.Series) -> float:
        """One standard deviation of a row, that between seeds included where it is known; NaN where nothing is."""
        return deviation(row, self.seeds)

    def at_radius(self, domain: str, metric: str, radius: float, model: str = "dalle", reference: str = "all") -> pd.DataFrame:
        """Rows of one metric at one blur radius, by number of candidates; perhaps none."""
        table = self.evaluation
        keep = (table["domain"] == domain) & (table["metric"] == metric) & (table["model"] == model)
        keep &= (table["reference"] == reference) & (table["blur_radius"].fillna(0) == radius)
        return table[keep].sort_values("candidates")

    def features(self, domain: str) -> str:
        """The features behind FID and Inception score, in words."""
        table = self.evaluation
        name = only_value(table[(table["domain"] == domain) & (table["metric"] == "fid")], "features")
        return FEATURES.get(name, name)

    def baselines(self, domain: str) -> list[str]:
        """Others' text-to-image models that were scored, in alphabetical order."""
        table = self.evaluation
        models = table[(table["domain"] == domain) & (table["metric"] == "fid")]["model"]
        return sorted(set(models) - {"dalle", "dalle_finetuned", "dvae", "real"})


def flattened(metrics: Mapping[str, object], prefix: str = "") -> dict[str, float]:
    flat: dict[str, float] = {}
    for key, value in metrics.items():
        if isinstance(value, Mapping):
            flat |= flattened(value, f"{prefix}{key}/")
        else:
            flat[prefix + key] = value
    return flat
