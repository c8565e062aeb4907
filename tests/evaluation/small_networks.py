"""Networks that take a millisecond, for tests of what is done with features."""

import numpy as np
import torch
from torch import nn


class Regions:
    """Deviations of the colours in four regions as features; remembers how many images it saw, and may fail at one call."""

    name = "regions"

    def __init__(self, fails_at: int | None = None):
        self.num_seen, self.num_calls, self.fails_at = 0, 0, fails_at

    def __call__(self, images):
        self.num_calls += 1
        if self.num_calls == self.fails_at:
            raise KeyboardInterrupt
        self.num_seen += len(images)
        n, h, w, _ = images.shape
        features = images.reshape(n, 2, h // 2, 2, w // 2, 3).std(axis=(2, 4)).reshape(n, -1).astype(np.float32)
        return features, features[:, :5] / 10


class RandomNetwork(nn.Module):
    """Two convolutions with fixed random weights: 24 features and 10 classes of uint8 images (B, 3, H, W)."""

    def __init__(self):
        super().__init__()
        generator = torch.Generator().manual_seed(3)
        self.first = nn.Parameter(torch.randn(12, 3, 5, 5, generator=generator) / 8)
        self.second = nn.Parameter(torch.randn(24, 12, 3, 3, generator=generator) / 10)
        self.classes = nn.Parameter(torch.randn(24, 10, generator=generator))

    def forward(self, images):
        hidden = torch.conv2d((images.float() - 127) / 64, self.first, stride=2).relu()
        features = torch.conv2d(hidden, self.second, stride=2).relu().mean(dim=(2, 3))
        return features, features @ self.classes


class RandomFeatures:
    """`RandomNetwork` as an extractor, any number of images at a time."""

    name = "random"

    def __init__(self, batch_size=32):
        self.network, self.batch_size = RandomNetwork(), batch_size

    @torch.inference_mode()
    def __call__(self, images):
        pixels = torch.from_numpy(np.array(images)).permute(0, 3, 1, 2)
        parts = [self.network(batch) for batch in pixels.split(self.batch_size)]
        features, logits = (torch.cat(column).numpy() for column in zip(*parts, strict=True))
        return features, logits


def pictures(number, seed, size=32):
    """Smooth coloured blobs, uint8 (number, size, size, 3): more like photographs than noise is."""
    rng = np.random.default_rng(seed)
    places, colours = rng.uniform(0, size, (number, 4, 2)), rng.uniform(0, 255, (number, 4, 3))
    widths = rng.uniform(3, 9, (number, 4))
    rows, columns = np.indices((size, size))
    distances = (rows - places[..., 0, None, None]) ** 2 + (columns - places[..., 1, None, None]) ** 2
    weights = np.exp(-distances / widths[..., None, None] ** 2) + 1e-3
    mixed = np.einsum("nkhw,nkc->nhwc", weights, colours) / weights.sum(axis=1)[..., None]
    return np.clip(mixed + rng.normal(0, 6, mixed.shape), 0, 255).astype(np.uint8)
