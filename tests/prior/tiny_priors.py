"""Priors small enough to check by hand."""

import torch

from dalle.prior.masks import layer_masks
from dalle.prior.model import Prior, PriorConfig, initialise
from dalle.prior.pixelcnn import PixelCNN, PixelCNNConfig, PixelCNNSizes, initialise_pixelcnn


def tiny_config(masks=None, *, grid_size=3, text_length=5, layers=5, conv_kernel=3) -> PriorConfig:
    masks = tuple(masks or layer_masks(layers))
    return PriorConfig(
        text_vocab_size=11,
        text_length=text_length,
        codebook_size=13,
        grid_size=grid_size,
        layers=len(masks),
        width=16,
        heads=2,
        conv_kernel=conv_kernel,
        masks=masks,
    )


def tiny_prior(*args, seed=0, **shape) -> Prior:
    """Weights ten times as large as at the start of a training, so that every dependence shows in the logits."""
    prior = Prior(tiny_config(*args, **shape))
    initialise(prior, torch.Generator().manual_seed(seed))
    with torch.no_grad():
        for parameter in prior.parameters():
            if parameter.ndim > 1:
                parameter *= 10
    return prior.eval()


def tiny_pixelcnn_config(*, grid_size=3, text_length=5, layers=2, width=16, kernel=3) -> PixelCNNConfig:
    return PixelCNNConfig(
        text_vocab_size=11,
        text_length=text_length,
        codebook_size=13,
        grid_size=grid_size,
        layers=2,
        width=16,
        heads=2,
        pixelcnn=PixelCNNSizes(layers=layers, width=width, kernel=kernel),
    )


def tiny_pixelcnn(*, seed=0, **shape) -> PixelCNN:
    """Text weights ten times as large as at the start of a training; the gated layers' are large enough."""
    prior = PixelCNN(tiny_pixelcnn_config(**shape))
    initialise_pixelcnn(prior, torch.Generator().manual_seed(seed))
    with torch.no_grad():
        for name, parameter in prior.named_parameters():
            if parameter.ndim == 2 and not name.startswith("layers"):
                parameter *= 10
    return prior.eval()


def random_tokens(config: PriorConfig | PixelCNNConfig, batch: int, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    text = torch.randint(config.num_text_ids, (batch, config.text_length), generator=generator)
    return text, torch.randint(config.codebook_size, (batch, config.num_positions), generator=generator)
