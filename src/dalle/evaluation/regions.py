"""Pictures as a grid of regions and as a whole: what a text encoder learns to match words and sentences with (AttnGAN's DAMSM).

AttnGAN takes 17 x 17 regions of 768 numbers and a picture's 2048 from Inception-v3 at 299 pixels. EfficientNet-Lite0 at 224
pixels in its place is ours: its weights are here. Its last convolution widens each region from 320 to 1280 numbers; the regions
are those before it. In one training each on miniature MS-COCO, 100 updates of 48 pairs, they found as many of 102 held-out
captions (62 %) as those after it (59 %), which take four times the memory, and as a finer grid of 14 x 14 x 112 (59 %), which
takes three times as long.
"""

import numpy as np
import pandas as pd
from torch import Tensor

from dalle.data.images import load_evaluation_images
from dalle.evaluation.features import Extractor, efficientnet_lite0
from dalle.progress import track

CHUNK = 512  # pictures in memory at a time


class RegionExtractor(Extractor):
    """uint8 images (N, H, W, 3) -> regions float32 (N, 49, 320), row by row, and features (N, 1280), those of `lite0`.

    Unlike other extractors it is not for threads to share.
    """

    def __init__(self, device: str) -> None:
        super().__init__("lite0_regions", efficientnet_lite0(), device)
        self._grids: list[Tensor] = []
        self.network.blocks.register_forward_hook(lambda module, inputs, grid: self._grids.append(grid))

    def _forward(self, images: np.ndarray) -> tuple[Tensor, Tensor]:
        features, _ = super()._forward(images)
        return self._grids.pop().flatten(2).mT, features


def region_features(manifest: pd.DataFrame, image_size: int, device: str) -> tuple[np.ndarray, np.ndarray]:
    """Regions float16 (N, 49, 320), 31 KB a picture, and features float32 (N, 1280), of every row's evaluation crop."""
    extractor = RegionExtractor(device)
    parts = []
    for start in track(range(0, len(manifest), CHUNK), what="regions", unit=f"x {CHUNK} images"):
        regions, features = extractor(load_evaluation_images(manifest.iloc[start : start + CHUNK], image_size))
        parts.append((regions.astype(np.float16), features))
    regions, features = (np.concatenate(column) for column in zip(*parts, strict=True))
    return regions, features
