"""DF-GAN's losses against numbers worked out by hand, and its gradient penalty against differences of the scores."""

import pytest
import torch
from torch import nn

from dalle.baselines.dfgan.loss import discriminator_loss, generator_loss, gradient_penalty
from dalle.baselines.dfgan.model import DFGANConfig, Discriminator


class Linear(nn.Module):
    """D(x, e) = a sum(x) + b sum(e): gradients that can be written down."""

    def __init__(self, a, b):
        super().__init__()
        self.a, self.b = (nn.Parameter(torch.tensor(value)) for value in (a, b))

    def features(self, images):
        return self.a * images.flatten(1).sum(dim=1)

    def judge(self, features, sentences):
        return features + self.b * sentences.sum(dim=1)

    def forward(self, images, sentences):
        return self.judge(self.features(images), sentences)


def test_hinge_and_penalty_by_hand():
    # two pictures of one pixel and channel, sentences of two numbers
    images, sentences = torch.tensor([[[[2.0]]], [[[-1.0]]]]), torch.tensor([[0.5, 0.5], [0.0, 2.0]])
    fakes = torch.tensor([[[[0.0]]], [[[4.0]]]])
    loss, reported = discriminator_loss(Linear(0.5, 0.25), images, fakes, sentences)
    # matching 1 + 0.25, -0.5 + 0.5; mismatching, the picture before: -0.5 + 0.25, 1 + 0.5; fake 0 + 0.25, 2 + 0.5
    hinge = (0 + 1) / 2 + ((1.25 + 3.5) / 2 + (0.75 + 2.5) / 2) / 2
    penalty = 2 * (0.5**2 + 2 * 0.25**2) ** 3  # |grad|^6, one pixel and two numbers
    assert float(loss) == pytest.approx(hinge + penalty)
    expected = {"matching": 0.625, "mismatching": 0.625, "fake": 1.375, "penalty": penalty}
    assert {name: float(value) for name, value in reported.items()} == pytest.approx(
        {f"train/{name}": value for name, value in expected.items()}
    )


def test_the_generator_wants_high_scores():
    fakes, sentences = torch.tensor([[[[0.0]]], [[[4.0]]]]), torch.tensor([[0.5, 0.5], [0.0, 2.0]])
    assert float(generator_loss(Linear(0.5, 0.25), fakes, sentences)) == pytest.approx(-1.375)


def network():
    torch.manual_seed(3)
    discriminator = Discriminator(DFGANConfig(image_size=8, width=2, noise_size=3, sentence_size=3)).double()
    for block in discriminator.blocks:
        nn.init.constant_(block.gain, 0.7)
    return discriminator, torch.randn(2, 3, 8, 8, dtype=torch.float64), torch.randn(2, 3, dtype=torch.float64)


def test_penalty_is_the_sixth_power_of_the_slope_that_differences_find():
    discriminator, images, sentences = network()
    slopes = []
    for image, sentence in zip(images, sentences, strict=True):
        point = torch.cat([image.flatten(), sentence])

        def score(values):
            return discriminator(values[:192].reshape(1, 3, 8, 8), values[192:][None])

        steps = 1e-6 * torch.eye(len(point), dtype=torch.float64)
        with torch.no_grad():
            slopes.append(torch.stack([(score(point + step) - score(point - step)) / 2e-6 for step in steps]).norm())
    images, sentences = images.requires_grad_(), sentences.requires_grad_()
    penalty = gradient_penalty(discriminator(images, sentences), images, sentences)
    assert float(penalty) == pytest.approx(float(torch.stack(slopes).pow(6).mean()), rel=1e-4)  # norms are taken in float32


def test_penalty_teaches_the_discriminator():
    """Its own gradient, through a gradient, against differences."""
    discriminator, images, sentences = network()
    weight = discriminator.judge.mix.weight

    def penalty():
        inputs = images.detach().requires_grad_(), sentences.detach().requires_grad_()
        return gradient_penalty(discriminator(*inputs), *inputs)

    (gradient,) = torch.autograd.grad(penalty(), weight)
    place = tuple(int(index[0]) for index in torch.nonzero(gradient.abs() == gradient.abs().max(), as_tuple=True))
    values = []
    for step in (1e-3, -1e-3):
        with torch.no_grad():
            weight[place] += step
        values.append(float(penalty()))
        with torch.no_grad():
            weight[place] -= step
    assert float(gradient[place]) == pytest.approx((values[0] - values[1]) / 2e-3, rel=1e-3)


def test_each_loss_trains_its_own_network_only():
    discriminator, images, sentences = network()
    fakes = torch.randn_like(images).requires_grad_()
    loss, _ = discriminator_loss(discriminator, images, fakes, sentences)
    assert torch.autograd.grad(loss, fakes, allow_unused=True) == (None,)
    assert torch.autograd.grad(generator_loss(discriminator, fakes, sentences), fakes)[0].abs().sum() > 0
