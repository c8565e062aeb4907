"""What of the published corpora is read, and how much of a folder of one's own is evaluated."""

from dataclasses import dataclass
from typing import Literal

from dalle.data.sources.cub import CubCrop
from dalle.data.sources.cub_splits import CubSplit


@dataclass(frozen=True, kw_only=True)
class SourceOptions:
    """`folder_evaluated`: which share of a captioned folder is evaluated, where it is trained on as well."""

    coco_year: Literal[2014, 2017]
    cub_split: CubSplit
    cub_crop: CubCrop
    folder_evaluated: float

    def __post_init__(self) -> None:
        if not 0 < self.folder_evaluated < 1:
            raise ValueError(f"folder_evaluated must be between 0 and 1, got {self.folder_evaluated}")
