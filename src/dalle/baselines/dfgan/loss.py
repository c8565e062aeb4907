"""DF-GAN's losses: hinge, a mismatched sentence as a second fake, the matching-aware gradient penalty (Tao et al., 3.2)."""

from collections.abc import Mapping

import torch
from torch import Tensor
from torch.nn.functional import relu

from dalle.baselines.dfgan.model import Discriminator

PENALTY_WEIGHT, PENALTY_POWER = 2, 6  # k and p of the paper


def discriminator_loss(
    discriminator: Discriminator, images: Tensor, fakes: Tensor, sentences: Tensor
) -> tuple[Tensor, Mapping[str, Tensor]]:
    """L_D = E relu(1 - D(x, e)) + (E relu(1 + D(G(z), e)) + E relu(1 + D(x, e'))) / 2 + k E |grad_(x, e) D(x, e)|^p.

    x are `images` with their `sentences` e, e' those of the item before in the batch, G(z) `fakes`, which are not trained.
    """
    images, sentences = images.detach().requires_grad_(), sentences.detach().requires_grad_()
    features = discriminator.features(images)
    matching = discriminator.judge(features, sentences)
    mismatching = discriminator.judge(features.roll(1, 0), sentences)
    fake = discriminator(fakes.detach(), sentences)
    penalty = PENALTY_WEIGHT * gradient_penalty(matching, images, sentences)
    hinge = relu(1 - matching).mean() + (relu(1 + fake).mean() + relu(1 + mismatching).mean()) / 2
    reported = {"matching": matching.mean(), "mismatching": mismatching.mean(), "fake": fake.mean(), "penalty": penalty}
    return hinge + penalty, {f"train/{name}": value.detach() for name, value in reported.items()}


def gradient_penalty(scores: Tensor, images: Tensor, sentences: Tensor) -> Tensor:
    """E |grad|^p, the norm taken over an image and its sentence together: at real and matching data the score shall be flat."""
    gradients = torch.autograd.grad(scores.sum(), (images, sentences), create_graph=True)
    squared = sum(gradient.float().flatten(1).square().sum(dim=1) for gradient in gradients)
    return (squared ** (PENALTY_POWER / 2)).mean()


def generator_loss(discriminator: Discriminator, fakes: Tensor, sentences: Tensor) -> Tensor:
    """L_G = -E D(G(z), e)."""
    return -discriminator(fakes, sentences).mean()
