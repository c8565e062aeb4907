"""Other models' pictures for a domain's captions: of the baselines trained here, and from folders of elsewhere."""

from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from dalle.evaluation.folders import FolderSamples, read_folder
from harness.evaluation_parts import external_samples

if TYPE_CHECKING:
    from harness.params_tree import Params

RIVALS = Path("rivals")


def rival_samples(params: "Params", domain: str, captions: pd.DataFrame, root: Path) -> dict[str, FolderSamples]:
    """By model, an image for each of `captions` (caption_id, caption), in their order where a model's ids are known.

    Baselines come first, then `evaluate.external` in the order of params.yaml. A ValueError names a folder that does not fit.
    """
    own = {name: read_folder(RIVALS / domain / name, captions) for name in params.baselines}
    return own | external_samples(params.evaluate.external, domain, captions, root)
