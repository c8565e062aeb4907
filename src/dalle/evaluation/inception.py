"""The two Inception networks behind published numbers, which differ in weights, resizing and range of their inputs.

`inception` is the TensorFlow graph of 2015 that FID was defined with, as torch-fidelity carries it. `dmgan` is what the code
of DM-GAN does, with which the paper computed its Fig. 9: torchvision's network under another input range (EVALUATION 4).
"""

import io
from collections.abc import Mapping

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from dalle.evaluation.features import Extractor
from dalle.evaluation.weights import PublishedWeights

INPUT_SIZE = 299
TF_WEIGHTS = PublishedWeights(
    features="inception",
    file="weights-inception-2015-12-05-6726825d.pth",
    where="release v0.2.0 of toshas/torch-fidelity on GitHub",
    sha256="6726825d",
)
TORCHVISION_WEIGHTS = PublishedWeights(
    features="dmgan",
    file="inception_v3_google-0cc3c7bd.pth",
    where="torchvision's Inception_V3_Weights.IMAGENET1K_V1",
    sha256="0cc3c7bd",
)


class TFInception(Extractor):
    """torch-fidelity's port: 2048 features, 1008 logits without bias (as the inception score is published)."""

    def __init__(self, weights: Mapping[str, Tensor], device: str) -> None:
        from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3

        checked = io.BytesIO()  # torch-fidelity would unpickle a file; this one holds the tensors that were read
        torch.save(dict(weights), checked)
        checked.seek(0)
        layers = ["2048", "logits_unbiased"]
        super().__init__("inception", FeatureExtractorInceptionV3("tf", layers, feature_extractor_weights_path=checked), device)

    def _forward(self, images: np.ndarray) -> tuple[Tensor, Tensor]:
        return self.network(torch.from_numpy(np.array(images, order="C")).to(self.device).permute(0, 3, 1, 2))


class DMGANInception(Extractor):
    """DM-GAN's FID: Pillow's bilinear resize to 299 x 299, and torchvision's `transform_input` put on pixels in [0, 1].

    That formula is meant for normalised pixels, so the network sees values from about -0.03 to 0.43. DM-GAN also drops the
    last partial batch; here every image counts. It takes the inception score of another network: there is none here.
    """

    def __init__(self, weights: Mapping[str, Tensor], device: str) -> None:
        from torchvision.models import inception_v3

        network = inception_v3(weights=None, transform_input=False, aux_logits=True, init_weights=False)
        network.load_state_dict(dict(weights))
        network.fc = nn.Identity()
        super().__init__("dmgan", network, device)

    def _forward(self, images: np.ndarray) -> tuple[Tensor, Tensor]:
        resized = [Image.fromarray(image).resize((INPUT_SIZE, INPUT_SIZE), Image.Resampling.BILINEAR) for image in images]
        pixels = torch.from_numpy(np.stack(resized)).to(self.device).permute(0, 3, 1, 2).float() / 255
        scale = pixels.new_tensor([0.229, 0.224, 0.225]).view(3, 1, 1) / 0.5
        shift = (pixels.new_tensor([0.485, 0.456, 0.406]).view(3, 1, 1) - 0.5) / 0.5
        features = self.network((pixels * scale + shift).contiguous(memory_format=torch.channels_last))
        return features, features[:, :0]
