"""DF-GAN's networks: the sizes of the original, blocks that begin as they should, pictures of any size that halves."""

import pytest
import torch

from dalle.baselines.dfgan.model import DFGANConfig, Discriminator, DownBlock, Fusion, Generator, UpBlock


def config(**changes):
    return DFGANConfig(**{"image_size": 16, "width": 4, "noise_size": 5, "sentence_size": 6, **changes})


def millions(network):
    return sum(parameter.numel() for parameter in network.parameters()) / 1e6


@pytest.mark.parametrize(("image_size", "of_generator", "of_discriminator"), [(64, 4.87, 3.21), (256, 9.74, 6.62)])
def test_as_many_parameters_as_the_original(image_size, of_generator, of_discriminator):
    original = DFGANConfig(image_size=image_size, width=32, noise_size=100, sentence_size=256)
    with torch.device("meta"):
        generator, discriminator = Generator(original), Discriminator(original)
    assert round(millions(generator), 2) == of_generator
    assert round(millions(discriminator) - millions(discriminator.judge), 2) == of_discriminator
    assert round(millions(discriminator.judge), 2) == 0.30


@pytest.mark.parametrize(
    ("image_size", "first_side", "blocks"), [(64, 4, 4), (256, 4, 6), (48, 3, 4), (128, 4, 5), (24, 3, 3), (40, 5, 3), (8, 4, 1)]
)
def test_pictures_begin_as_what_halving_leaves(image_size, first_side, blocks):
    sizes = config(image_size=image_size)
    assert (sizes.first_side, sizes.num_blocks) == (first_side, blocks)
    generator, discriminator = Generator(sizes), Discriminator(sizes)
    images = generator(torch.randn(2, 5), torch.randn(2, 6))
    assert images.shape == (2, 3, image_size, image_size)
    assert images.abs().max() <= 1
    assert discriminator(images, torch.randn(2, 6)).shape == (2,)


@pytest.mark.parametrize("image_size", [7, 50, 22])
def test_a_size_that_does_not_halve_is_refused(image_size):
    with pytest.raises(ValueError, match=f"image_size must be 3, 4, 5, 6 or 7 times a power of two.*got {image_size}"):
        config(image_size=image_size)


def test_the_condition_changes_nothing_at_first():
    torch.manual_seed(0)
    hidden = torch.randn(2, 3, 4, 4)
    # leaky twice: negative numbers by 0.2 * 0.2
    expected = torch.where(hidden > 0, hidden, 0.04 * hidden)
    torch.testing.assert_close(Fusion(3, 7)(hidden, torch.randn(2, 7)), expected)


def test_a_fusion_is_four_networks_of_the_condition_written_out():
    torch.manual_seed(0)
    fusion, hidden, condition = Fusion(3, 7), torch.randn(2, 3, 4, 4), torch.randn(2, 7)
    torch.nn.init.normal_(fusion.weight)
    torch.nn.init.normal_(fusion.bias)
    entered = torch.nn.functional.linear(condition, fusion.enter.weight, fusion.enter.bias).relu().split(3, dim=1)
    gammas_and_betas = [inner @ fusion.weight[number] + fusion.bias[number] for number, inner in enumerate(entered)]
    expected = hidden
    for gamma, beta in (gammas_and_betas[:2], gammas_and_betas[2:]):
        expected = torch.nn.functional.leaky_relu(gamma[:, :, None, None] * expected + beta[:, :, None, None], 0.2)
    torch.testing.assert_close(fusion(hidden, condition), expected)


def test_a_block_adds_its_shortcut_whatever_the_convolutions_say():
    torch.manual_seed(0)
    block, hidden = UpBlock(4, 4, 7), torch.randn(2, 4, 3, 3)
    for parameter in block.convs.parameters():
        torch.nn.init.zeros_(parameter)
    torch.testing.assert_close(block(hidden, torch.randn(2, 7)), hidden.repeat_interleave(2, 2).repeat_interleave(2, 3))
    down = DownBlock(4, 6)  # its gain is 0 at first: the shortcut alone
    pooled = torch.nn.functional.avg_pool2d(down.shortcut(hidden[..., :2, :2]), 2)
    torch.testing.assert_close(down(hidden[..., :2, :2]), pooled)


def test_sentences_are_standardised_by_what_the_generator_carries():
    torch.manual_seed(0)
    generator, noise, sentences = Generator(config()), torch.randn(3, 5), torch.randn(3, 6)
    for fusion in (module for module in generator.modules() if isinstance(module, Fusion)):
        torch.nn.init.normal_(fusion.weight)
    before = generator(noise, sentences)
    generator.sentence_mean += 2
    generator.sentence_spread *= 3
    torch.testing.assert_close(generator(noise, 3 * sentences + 2), before)
    assert not torch.allclose(generator(noise, sentences), before)
