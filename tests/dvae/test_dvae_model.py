import math

import pytest
import torch
import torch.nn.functional as F

from dalle.dvae.model import DVAE, DVAEConfig, load_dvae
from dalle.dvae.relaxation import one_hot_codes
from dalle.training.model_folder import save_model
from tiny_dvaes import blobs, tiny_config, tiny_dvae

PAPER = DVAEConfig(
    image_size=256, codebook_size=8192, num_groups=4, blocks_per_group=2, hidden_width=256, codebook_width=128, post_gain=1 / 64
)


class Oracle:
    """Encoder and decoder written out from the paper's description (PAPER 2.1); weights are taken in the order of use."""

    def __init__(self, network, config):
        parameters = list(network.parameters())
        self.convolutions = list(zip(parameters[::2], parameters[1::2], strict=True))
        self.groups, self.blocks, self.hidden = config.num_groups, config.blocks_per_group, config.hidden_width
        self.gain = config.post_gain

    def convolve(self, x, kernel, width):
        weight, bias = self.convolutions.pop(0)
        assert weight.shape == (width, x.shape[1], kernel, kernel) and bias.shape == (width,)
        margin = (kernel - 1) // 2
        return F.conv2d(F.pad(x, [margin] * 4), weight, bias)

    def block(self, x, width, kernels):
        residual = x
        for index, kernel in enumerate(kernels):
            residual = self.convolve(residual.clamp(min=0), kernel, width if index == 3 else width // 4)
        identity = x if x.shape[1] == width else self.convolve(x, 1, width)
        return identity + self.gain * residual

    def encoder(self, mapped_images, codebook_size):
        x = self.convolve(mapped_images, 7, self.hidden)
        for group in range(self.groups):
            if group:  # a maximum over every 2 x 2
                x = x.unflatten(3, (-1, 2)).amax(4).unflatten(2, (-1, 2)).amax(3)
            for _ in range(self.blocks):
                x = self.block(x, self.hidden * 2**group, (3, 3, 3, 1))
        code_logits = self.convolve(x.clamp(min=0), 1, codebook_size)
        assert not self.convolutions
        return code_logits

    def decoder(self, soft_codes, codebook_width):
        x = self.convolve(soft_codes, 1, codebook_width)
        for group in reversed(range(self.groups)):
            for _ in range(self.blocks):
                x = self.block(x, self.hidden * 2**group, (1, 3, 3, 3))
            if group:
                x = x.repeat_interleave(2, 2).repeat_interleave(2, 3)
        maps = self.convolve(x.clamp(min=0), 1, 6)
        assert not self.convolutions
        return maps


def test_the_paper_s_networks_have_its_numbers_of_parameters():
    with torch.device("meta"):
        dvae = DVAE(PAPER)
    assert sum(p.numel() for p in dvae.encoder.parameters()) == 53_786_240
    assert sum(p.numel() for p in dvae.decoder.parameters()) == 43_829_766
    assert (PAPER.grid_size, PAPER.downsampling, PAPER.widths) == (32, 8, [256, 512, 1024, 2048])


@pytest.mark.parametrize("sizes", [{}, {"num_groups": 4, "blocks_per_group": 1}, {"num_groups": 2, "blocks_per_group": 3}])
def test_networks_equal_the_written_out_ones(sizes):
    dvae = tiny_dvae(**sizes).double()
    config, images = dvae.config, blobs(2, 3).double()
    code_logits = dvae.code_logits(images)
    expected = Oracle(dvae.encoder, config).encoder(0.8 * images + 0.1, config.codebook_size)
    assert code_logits.shape == (2, 12, config.grid_size, config.grid_size)
    torch.testing.assert_close(code_logits, expected, atol=1e-9, rtol=1e-9)
    soft_codes = torch.softmax(3 * torch.randn(expected.shape, dtype=torch.float64), 1)
    expected = Oracle(dvae.decoder, config).decoder(soft_codes, config.codebook_width)
    assert expected.shape == (2, 6, 16, 16)
    torch.testing.assert_close(dvae.likelihood_maps(soft_codes), expected, atol=1e-9, rtol=1e-9)


def test_looking_codes_up_equals_multiplying_one_hot_codes():
    dvae = tiny_dvae()
    codes = torch.randint(12, (3, 4, 4), generator=torch.Generator().manual_seed(0))
    expected = dvae.likelihood_maps(one_hot_codes(codes, 12))
    torch.testing.assert_close(dvae.likelihood_maps_of_codes(codes), expected, atol=1e-5, rtol=1e-5)


def test_encode_and_decode_are_the_most_probable_code_and_the_location_map():
    dvae, images = tiny_dvae(), blobs(3, 1)
    codes = dvae.encode(images)
    assert codes.dtype == torch.int64 and codes.shape == (3, 4, 4) and len(codes.unique()) > 2
    chosen = dvae.code_logits(images).gather(1, codes[:, None])
    assert (chosen >= dvae.code_logits(images)).all()
    maps = dvae.likelihood_maps(one_hot_codes(codes, 12))
    expected = ((1 / (1 + torch.exp(-maps[:, :3])) - 0.1) / 0.8).clamp(0, 1)
    torch.testing.assert_close(dvae.decode(codes), expected, atol=1e-5, rtol=0)
    assert 0 <= dvae.decode(codes).min() < dvae.decode(codes).max() <= 1


def test_an_image_does_not_depend_on_its_batch():
    dvae, images = tiny_dvae(), blobs(5, 2)
    torch.testing.assert_close(dvae.code_logits(images)[3:4], dvae.code_logits(images[3:4]), atol=1e-5, rtol=1e-5)


def test_initial_weights_are_normal_with_the_paper_s_spread_and_no_bias():
    torch.manual_seed(0)
    for name, parameter in DVAE(tiny_config(hidden_width=32, codebook_size=64, codebook_width=64)).named_parameters():
        if parameter.ndim == 1:
            assert not parameter.any(), name
        elif parameter.numel() > 2000:
            expected = 1 / math.sqrt(parameter[0].numel())
            assert parameter.std().item() == pytest.approx(expected, rel=5 / math.sqrt(2 * parameter.numel())), name
            assert abs(parameter.mean().item()) < 5 * expected / math.sqrt(parameter.numel()), name


def test_a_saved_dvae_comes_back(tmp_path):
    dvae, images = tiny_dvae(), blobs(2, 0)
    save_model(dvae, dvae.config, tmp_path)
    loaded = load_dvae(tmp_path)
    assert loaded.config == dvae.config and not loaded.training
    assert torch.equal(loaded.encode(images), dvae.encode(images))
    assert torch.equal(loaded.decode(loaded.encode(images)), dvae.decode(dvae.encode(images)))


@pytest.mark.parametrize("shape", [(3, 16, 16), (1, 3, 16, 8), (1, 1, 16, 16), (1, 3, 32, 32), (1, 16, 16, 3)])
def test_images_of_another_shape_are_refused(shape):
    with pytest.raises(ValueError, match=r"this dVAE takes images of shape \(B, 3, 16, 16\), got \("):
        tiny_dvae().encode(torch.zeros(shape))


@pytest.mark.parametrize(
    "change, message",
    [
        ({"codebook_size": 1}, "codebook_size must be at least 2, got 1"),
        ({"num_groups": 1}, "num_groups must be at least 2, got 1"),
        ({"hidden_width": 10}, "hidden_width must be divisible by 4 .*, got 10"),
        ({"hidden_width": 0}, "hidden_width must be at least 1, got 0"),
        ({"codebook_width": 0}, "codebook_width must be at least 1, got 0"),
        ({"blocks_per_group": 0}, "blocks_per_group must be at least 1, got 0"),
        ({"image_size": 0}, "image_size must be at least 1, got 0"),
        ({"image_size": 18}, "image_size 18 is not divisible by 4, the downsampling of 3 groups"),
        ({"num_groups": 6}, "image_size 16 is not divisible by 32, the downsampling of 6 groups"),
    ],
)
def test_configs_that_make_no_dvae(change, message):
    with pytest.raises(ValueError, match=message):
        tiny_config(**change)


def test_codes_are_decided_in_float32_under_autocast():
    """bf16 has eight bits: of K logits many would tie."""
    dvae, images = tiny_dvae(), blobs(2, 0)
    hidden, seen = {}, {}
    dvae.encoder[-2].register_forward_hook(lambda module, inputs, output: hidden.update(x=output))
    dvae.decoder[1].register_forward_pre_hook(lambda module, inputs: seen.update(x=inputs[0]))
    with torch.autocast("cpu", torch.bfloat16), torch.no_grad():
        code_logits = dvae.code_logits(images)
        soft_codes = torch.softmax(code_logits, 1)
        dvae.likelihood_maps(soft_codes)
    assert hidden["x"].dtype == torch.bfloat16 and code_logits.dtype == torch.float32 == seen["x"].dtype
    with torch.no_grad():
        torch.testing.assert_close(code_logits, dvae.encoder[-1](hidden["x"].float()), atol=1e-5, rtol=1e-5)
        torch.testing.assert_close(seen["x"], dvae.decoder[0](soft_codes), atol=1e-5, rtol=1e-5)
