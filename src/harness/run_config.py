"""What stages share of params.yaml without the whole tree: the `run` section, and how corpora are named there."""

from dataclasses import dataclass
from typing import Literal

MINIWORLD = "miniworld"  # instead of a corpus's folder
FINETUNED = "dalle_finetuned"  # among the models of a domain


def source_key(corpus: str) -> str:
    """The key of params.yaml that says where a corpus comes from."""
    return "complete.source" if corpus == "panels" else f"prepare_data.{corpus}"


@dataclass(frozen=True, kw_only=True)
class RunConfig:
    """How stages are run: no stage lists this section in dvc.yaml, because nothing in it may change a result."""

    experiment: str
    device: Literal["auto", "cpu", "cuda"]
    threads: int  # 0: all cores
    data_workers: int
    log_every: int
    checkpoint_seconds: float
    tracking: bool
    system_metrics: bool

    def __post_init__(self) -> None:
        if not self.experiment.strip():
            raise ValueError("experiment must not be empty: it is the name of the MLflow experiment")
        for name, least in (("threads", 0), ("data_workers", 0), ("log_every", 1), ("checkpoint_seconds", 0)):
            if getattr(self, name) < least:
                raise ValueError(f"{name} must be at least {least}, got {getattr(self, name)}")
