"""Batches of pictures with the vectors of their captions, as a pure function of the update's number: what a GAN learns from."""

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from dalle.data.images import ImageBatches, prior_crop
from dalle.randomness import derive_seed, torch_generator


class SentenceBatches:
    """`images` (B, 3, H, W) in [-1, 1], `sentences` (B, D), and `noise` (B, Z) for either network's update.

    Crops are drawn by Listing 2, as for the prior. Nothing is mirrored: captions say what is left and what is right.
    """

    def __init__(
        self, pairs: pd.DataFrame, sentences: np.ndarray, *, image_size: int, noise_size: int, batch_size: int, seed: int
    ) -> None:
        assert len(pairs) == len(sentences), "a vector a pair"
        self.images = ImageBatches(pairs, image_size, prior_crop, batch_size, derive_seed(seed, "batches"))
        self.sentences, self.noise_size, self.seed = torch.from_numpy(sentences), noise_size, seed

    def __call__(self, step: int) -> dict[str, Tensor]:
        rows = torch.from_numpy(self.images.indices(step))
        noise = torch.randn(2, len(rows), self.noise_size, generator=torch_generator(self.seed, "noise", step))
        return {
            "images": self.images(step) * 2 - 1,
            "sentences": self.sentences[rows],
            "discriminator_noise": noise[0],
            "generator_noise": noise[1],
        }
