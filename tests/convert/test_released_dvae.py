import math
from pathlib import Path

import pytest
import torch
from torch import nn

from dalle.convert.released_dvae import build_dvae, convert_dvae
from dalle.convert.released_network import ReleasedNetwork, read_network
from dalle.convert.restricted_reading import SHELLS
from dalle.dvae.model import DVAEConfig, load_dvae
from released_standins import CODEBOOK_WIDTH, Conv2d, Decoder, Encoder, networks, save

IMAGE_SIZE = 16
PAPER = {"hidden": 256, "codebook_size": 8192, "groups": 4, "blocks": 2}


def convert(tmp_path, encoder, decoder):
    files = save(encoder, tmp_path / "encoder.pkl"), save(decoder, tmp_path / "decoder.pkl")
    return convert_dvae(*files, tmp_path / "dvae", IMAGE_SIZE)


@pytest.mark.parametrize("sizes", [{}, {"groups": 2, "blocks": 1}, {"groups": 4, "hidden": 12, "codebook_size": 30}])
def test_the_converted_model_computes_what_the_released_one_does(tmp_path, sizes):
    encoder, decoder = networks(**sizes)
    convert(tmp_path, encoder, decoder)
    dvae = load_dvae(tmp_path / "dvae")
    images = torch.rand(2, 3, IMAGE_SIZE, IMAGE_SIZE, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        expected = encoder(0.8 * images + 0.1)
        torch.testing.assert_close(dvae.code_logits(images), expected, atol=1e-5, rtol=1e-5)
        soft_codes = torch.softmax(3 * expected, 1)
        torch.testing.assert_close(dvae.likelihood_maps(soft_codes), decoder(soft_codes), atol=1e-5, rtol=1e-5)


def test_the_configuration_is_read_off_the_networks(tmp_path):
    dvae = convert(tmp_path, *networks(groups=3, blocks=2, hidden=8, codebook_size=12))
    assert dvae.config == load_dvae(tmp_path / "dvae").config == DVAEConfig(
        image_size=IMAGE_SIZE, codebook_size=12, num_groups=3, blocks_per_group=2, hidden_width=8,
        codebook_width=CODEBOOK_WIDTH, post_gain=1 / 36,
    )  # fmt: skip
    assert not dvae.training and sorted(path.name for path in tmp_path.iterdir()) == ["decoder.pkl", "dvae", "encoder.pkl"]


def shell_of(module: nn.Module):
    name = f"{type(module).__module__}.{type(module).__qualname__}"
    shell = SHELLS[name]()
    vars(shell).update(vars(module), _modules={name: shell_of(child) for name, child in module.named_children()})
    return shell


def test_networks_of_the_paper_s_size_have_its_numbers_of_parameters():
    with torch.device("meta"):
        released = {"encoder": Encoder(**PAPER), "decoder": Decoder(**PAPER, codebook_width=128)}
    read = {
        kind: ReleasedNetwork(
            path=Path(kind),
            kind=kind,
            modules={path: shell_of(module) for path, module in network.named_modules()},
            tensors=dict(network.named_parameters()),
        )
        for kind, network in released.items()
    }
    dvae = build_dvae(read["encoder"], read["decoder"], 256)
    assert sum(p.numel() for p in dvae.encoder.parameters()) == 53_786_240
    assert sum(p.numel() for p in dvae.decoder.parameters()) == 43_829_766
    assert dvae.config.post_gain == 1 / 64 and dvae.config.codebook_width == 128


def test_half_precision_becomes_single(tmp_path):
    encoder, decoder = networks()
    dvae = convert(tmp_path, encoder.half(), decoder)
    assert torch.equal(dvae.encoder[0].weight, encoder.blocks.input.w.float())
    assert {parameter.dtype for parameter in dvae.parameters()} == {torch.float32}


def block(network):
    return network.blocks.group_1.block_1


def set_parameter(module, name, tensor):
    module._parameters[name] = nn.Parameter(tensor, requires_grad=False)


def pool_in_threes(encoder, decoder):
    encoder.blocks.group_1.pool.kernel_size = 3


def share(encoder, decoder):
    block(encoder).res_path.conv_2.w = block(encoder).res_path.conv_3.w


def expand(encoder, decoder):
    set_parameter(decoder.blocks.input, "w", torch.zeros(1).expand(10**6, 12, 10**3, 10**3))


def nest(encoder, decoder):
    for _ in range(30):
        encoder.blocks.input = nn.Sequential(encoder.blocks.input)


def in_a_circle(encoder, decoder):
    encoder.blocks._modules["input"] = encoder


CHANGES = {
    "missing tensor": (lambda e, d: block(e).res_path.conv_2._parameters.pop("b"),
                       "encoder.pkl: the tensor blocks.group_1.block_1.res_path.conv_2.b is missing"),
    "missing weight that a size is read off": (lambda e, d: e.blocks.input._parameters.pop("w"),
                                               "encoder.pkl: the tensor blocks.input.w is missing"),
    "no tensor where one was": (lambda e, d: e.blocks.input.register_parameter("b", None), "blocks.input.b is missing"),
    "extra tensor": (lambda e, d: set_parameter(block(d), "gain", torch.ones(1)),
                     "decoder.pkl: the tensor blocks.group_1.block_1.gain has no place in a released decoder"),
    "extra buffer": (lambda e, d: e.register_buffer("mean", torch.ones(3)), "the tensor mean has no place"),
    "shape": (lambda e, d: set_parameter(block(d).res_path.conv_3, "w", torch.ones(8, 8, 5, 5)),
              r"tensor blocks.group_1.block_1.res_path.conv_3.w is \(8, 8, 5, 5\), expected \(8, 8, 3, 3\)"),
    "axes": (lambda e, d: set_parameter(e.blocks.input, "w", torch.ones(8, 3)), r"blocks.input.w has shape \(8, 3\)"),
    "missing module": (lambda e, d: e.blocks.group_2._modules.pop("pool"), "module blocks.group_2.pool is missing"),
    "missing block": (lambda e, d: e.blocks.group_3._modules.pop("block_2"), "module blocks.group_3.block_2 is missing"),
    "missing group": (lambda e, d: e.blocks._modules.pop("group_2"), "num_groups is 2 in .*encoder.pkl and 3 in .*"),
    "extra module": (lambda e, d: e.blocks.add_module("norm", nn.ReLU()), "module blocks.norm has no place"),
    "class": (lambda e, d: block(e).res_path.add_module("relu_3", nn.Identity()),
              "relu_3 is torch.nn.modules.linear.Identity, expected torch.nn.modules.activation.ReLU"),
    "no network": (lambda e, d: e.blocks._modules.clear(), "the tensor blocks.output.conv.w is missing"),
    "pool": (pool_in_threes, "blocks.group_1.pool has kernel_size 3, expected 2"),
    "stride": (lambda e, d: setattr(e.blocks.group_1.pool, "stride", (2, 2)), "pool has no plain value stride"),
    "upsampling": (lambda e, d: setattr(d.blocks.group_1.upsample, "mode", "bilinear"), "has mode 'bilinear', expected"),
    "padding": (lambda e, d: setattr(e.blocks.input, "kw", 5), "blocks.input has kw 5, expected 7"),
    "gain": (lambda e, d: setattr(block(e), "post_gain", 0.5), "encoder.pkl: the blocks have no common post_gain"),
    "gain as a tensor": (lambda e, d: setattr(block(e), "post_gain", torch.ones(1)), "no plain value post_gain"),
    "gain not a number": (lambda e, d: [setattr(each, "post_gain", math.nan) for each in e.modules()
                                        if hasattr(each, "post_gain")], "no common post_gain|post_gain is nan"),
    "numbers": (lambda e, d: e.blocks.input.w[0].fill_(torch.nan), "blocks.input.w holds numbers that are not finite"),
    "double": (lambda e, d: d.double(), "decoder.pkl: data.pkl: refused 'torch.DoubleStorage'"),
    "shared": (share, "shares its storage with another tensor"),
    "expanded": (expand, r"decoder.pkl: blocks.input.w has shape .*, and only 4 bytes are stored for it"),
    "nested": (nest, "input.0.0.0.0 stands in a second place, or too deep"),
    "circle": (in_a_circle, "the module blocks.input stands in a second place"),
    "name": (lambda e, d: e._modules.update({"a" * 50: nn.ReLU()}), "has an entry of _modules that is no name"),
    "name of another type": (lambda e, d: e._modules.update({7: nn.ReLU()}), "has an entry of _modules that is no name"),
    "no dictionary": (lambda e, d: vars(e).update(_parameters=[1]), "the module dall_e.encoder.Encoder has no dictionary"),
    "no module": (lambda e, d: e._modules.update(blocks=[1]), "blocks is a list, no module"),
    "no tensor": (lambda e, d: e.blocks.input._parameters.update(w=[1]), "blocks.input.w is no float32 .* but list"),
}  # fmt: skip


@pytest.mark.parametrize("change, message", CHANGES.values(), ids=CHANGES)
def test_networks_that_are_not_the_released_ones(tmp_path, change, message):
    encoder, decoder = networks()
    change(encoder, decoder)
    with pytest.raises(ValueError, match=message):
        convert(tmp_path, encoder, decoder)
    assert not (tmp_path / "dvae").exists()


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"codebook_size": 14}, "codebook_size is 12 in .*encoder.pkl and 14 in .*decoder.pkl: they are no pair"),
        ({"hidden": 16}, "hidden_width is 8 in .* and 16 in .*: they are no pair"),
        ({"groups": 2}, "num_groups is 3 in .* and 2 in .*: they are no pair"),
        ({"blocks": 1}, "blocks_per_group is 2 in .* and 1 in .*: they are no pair"),
    ],
)
def test_an_encoder_and_a_decoder_that_are_no_pair(tmp_path, changes, message):
    with pytest.raises(ValueError, match=message):
        convert(tmp_path, networks()[0], networks(**changes)[1])


def test_files_in_each_other_s_place(tmp_path):
    encoder, decoder = networks()
    with pytest.raises(ValueError, match="encoder.pkl: holds a dall_e.decoder.Decoder, expected a dall_e.encoder.Encoder"):
        convert(tmp_path, decoder, encoder)
    with pytest.raises(ValueError, match="expected a dall_e.decoder.Decoder"):
        convert(tmp_path, encoder, encoder)
    with pytest.raises(ValueError, match="holds a OrderedDict, expected a dall_e.encoder.Encoder"):
        read_network(save(encoder.state_dict(), tmp_path / "encoder.pkl"), "encoder")
    with pytest.raises(ValueError, match="holds a dall_e.utils.Conv2d, expected"):
        read_network(save(Conv2d(1, 1, 1), tmp_path / "encoder.pkl"), "encoder")


def test_an_image_size_that_the_network_cannot_halve(tmp_path):
    with pytest.raises(ValueError, match="image_size 16 is not divisible by 32, the downsampling of 6 groups"):
        convert(tmp_path, *networks(groups=6, blocks=1, hidden=4))


def test_what_is_there_stays(tmp_path):
    folder = tmp_path / "dvae"
    folder.mkdir()
    convert(tmp_path, *networks())
    written = {path: path.read_bytes() for path in folder.iterdir()}
    with pytest.raises(ValueError, match="dvae: is there already"):
        convert(tmp_path, *networks())
    assert {path: path.read_bytes() for path in folder.iterdir()} == written
    (tmp_path / "file").write_text("kept")
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    for name in ("file", "link"):
        with pytest.raises(ValueError, match=f"{name}: is there already"):
            convert_dvae(tmp_path / "encoder.pkl", tmp_path / "decoder.pkl", tmp_path / name, IMAGE_SIZE)


def test_a_conversion_that_fails_while_it_writes_leaves_nothing(tmp_path, monkeypatch):
    def full_disk(model, config, folder):
        (folder / "config.json").touch()
        raise OSError("No space left on device")

    monkeypatch.setattr("dalle.convert.released_dvae.save_model", full_disk)
    with pytest.raises(OSError, match="No space"):
        convert(tmp_path, *networks())
    assert sorted(path.name for path in tmp_path.iterdir()) == ["decoder.pkl", "encoder.pkl"]
