"""Other models' pictures for a domain's captions: of what is trained here, and from folders of elsewhere."""

from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from dalle.evaluation.folders import FolderSamples, read_folder
from harness.evaluation_parts import external_samples
from harness.run_config import FINETUNED

if TYPE_CHECKING:
    from harness.params_tree import Params

RIVALS = Path("rivals")


def rival_samples(params: "Params", domain: str, captions: pd.DataFrame, root: Path) -> dict[str, FolderSamples]:
    """By model, an image for each of `captions` (caption_id, caption), in their order where a model's ids are known.

    Baselines come first, then the prior fine-tuned on the domain, if it is one of those, then `evaluate.external` in the order
    of params.yaml. A ValueError names a folder that does not fit.
    """
    names = [*params.baselines, *([FINETUNED] if domain in params.finetune_prior.domains else [])]
    own = {name: read_folder(RIVALS / domain / name, captions) for name in names}
    return own | external_samples(params.evaluate.external, domain, captions, root, params.image_size)


def num_candidates(params: "Params", model: str) -> int:
    """Of how many candidates a rival's image is the best by CLIP."""
    return params.rerank.sweep[-1] if model == FINETUNED else 1
