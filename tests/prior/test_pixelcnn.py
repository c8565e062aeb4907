import json

import pytest
import torch

from dalle.prior.gated import GatedLayer
from dalle.prior.kinds import KINDS, build_prior, initialise_prior, load_prior
from dalle.prior.pixelcnn import PixelCNN, PixelCNNConfig, PixelCNNSizes, initialise_pixelcnn
from dalle.training.model_folder import save_model
from tiny_priors import random_tokens, tiny_pixelcnn, tiny_pixelcnn_config, tiny_prior


def stepped(prior, text, image, candidates):
    """The logits (B, G*G, K) of image tokens given one after the other, to `candidates` images a caption."""
    cache = prior.prefill(text).for_candidates(candidates)
    positions = range(prior.config.num_positions)
    with torch.no_grad():
        return torch.stack([prior.step(None if p == 0 else image[:, p - 1], p, cache) for p in positions], 1)


def moved(before, after):
    """Which positions of the logits (B, L, n) differ in the only row."""
    return (before != after).any(-1)[0]


def receptive_field(grid_size, layers, kernel):
    """The cells that each cell of the horizontal stack can see, by following the paper's two stacks cell by cell."""
    cells = [(row, column) for row in range(grid_size) for column in range(grid_size)]
    reach = kernel // 2
    vertical = horizontal = {cell: {cell} for cell in cells}
    for layer in range(layers):
        own = 1 if layer else 0  # mask A, then mask B
        seen_above = {
            (row, column): set().union(
                *(
                    vertical.get((above, beside), set())
                    for above in range(row - reach, row + own)
                    for beside in range(column - reach, column + reach + 1)
                )
            )
            for row, column in cells
        }
        horizontal = {
            (row, column): seen_above[row, column].union(
                *(horizontal.get((row, left), set()) for left in range(column - reach, column + own))
            )
            for row, column in cells
        }
        vertical = seen_above
    return horizontal


@pytest.mark.parametrize("layers, kernel", [(1, 3), (2, 3), (4, 3), (1, 5), (3, 5)])
@pytest.mark.parametrize("grid_size", [1, 3, 5])
def test_a_position_depends_on_what_its_stacks_can_see_and_on_nothing_at_or_after_it(grid_size, layers, kernel):
    prior = tiny_pixelcnn(grid_size=grid_size, layers=layers, kernel=kernel)
    text, image = random_tokens(prior.config, 1)
    text_logits, image_logits = prior(text, image)
    seen = receptive_field(grid_size, layers, kernel)
    for token in range(prior.config.num_positions):
        other = image.clone()
        other[0, token] = (image[0, token] + 1) % prior.config.codebook_size
        other_text_logits, other_image_logits = prior(text, other)
        expected = [divmod(token, grid_size) in seen[divmod(position, grid_size)] for position in range(grid_size**2)]
        assert moved(image_logits, other_image_logits).tolist() == expected
        assert not any(expected[: token + 1]) and not moved(text_logits, other_text_logits).any()


@pytest.mark.parametrize("grid_size, layers, kernel", [(4, 5, 3), (5, 6, 3), (5, 3, 5)])
def test_there_is_no_blind_spot(grid_size, layers, kernel):
    """A stack of masked square kernels never sees what lies to the right above; here a late position sees all before it."""
    seen = receptive_field(grid_size, layers, kernel)
    for position in range(grid_size**2):
        row, column = divmod(position, grid_size)
        assert seen[row, column] == {divmod(earlier, grid_size) for earlier in range(position)}
    prior = tiny_pixelcnn(grid_size=grid_size, layers=layers, kernel=kernel)
    text, image = random_tokens(prior.config, 1)
    before = prior(text, image)[1]
    for token in range(prior.config.num_positions - 1):
        other = image.clone()
        other[0, token] = (image[0, token] + 1) % prior.config.codebook_size
        assert moved(before, prior(text, other)[1])[token + 1 :].all()


@pytest.mark.parametrize("is_first", [True, False])
@pytest.mark.parametrize("kernel", [3, 5])
def test_a_layer_is_its_equations_at_every_cell(kernel, is_first):
    """tanh(W_f * x + V_f h) . sigmoid(W_g * x + V_g h) of either stack, summed tap by tap."""
    layer, size, width = GatedLayer(3, 2, kernel, is_first=is_first).double(), 4, 3
    generator = torch.Generator().manual_seed(0)
    vertical, horizontal = torch.randn(2, 1, size, size, width, dtype=torch.float64, generator=generator)
    condition = torch.randn(1, 2, dtype=torch.float64, generator=generator)
    found_vertical, found_horizontal = layer(vertical, horizontal, condition)
    biases, depth, reach = layer.condition(condition)[0], layer.left.kernel_size[1], kernel // 2

    def gated(features):
        return torch.tanh(features[:width]) * torch.sigmoid(features[width:])

    def cell(stack, row, column):
        inside = 0 <= row < size and 0 <= column < size
        return stack[0, row, column] if inside else torch.zeros(width, dtype=torch.float64)

    for row in range(size):
        for column in range(size):
            above = sum(
                layer.above.weight[:, :, down, right] @ cell(vertical, row - reach + down, column - reach + right)
                for down in range(depth)
                for right in range(kernel)
            )
            taps = range(depth)
            left = sum(layer.left.weight[:, :, 0, tap] @ cell(horizontal, row, column - reach + tap) for tap in taps)
            torch.testing.assert_close(found_vertical[0, row, column], gated(above + biases[: 2 * width]))
            passed_on = layer.out(gated(left + layer.down.weight @ above + biases[2 * width :]))
            expected = passed_on if is_first else horizontal[0, row, column] + passed_on
            torch.testing.assert_close(found_horizontal[0, row, column], expected)


@pytest.mark.parametrize("layers, kernel", [(1, 3), (3, 3), (3, 5)])
@pytest.mark.parametrize("grid_size", [1, 3, 4])
def test_cached_steps_equal_the_whole_grid(grid_size, layers, kernel):
    prior = tiny_pixelcnn(grid_size=grid_size, layers=layers, kernel=kernel)
    text, _ = random_tokens(prior.config, 2)
    _, image = random_tokens(prior.config, 6)
    expected = prior(text.repeat_interleave(3, 0), image)[1].detach()
    torch.testing.assert_close(stepped(prior, text, image, 3), expected, atol=1e-5, rtol=1e-5)


def test_steps_are_the_same_for_any_split_of_a_batch():
    prior = tiny_pixelcnn(grid_size=4)
    text, _ = random_tokens(prior.config, 2)
    _, image = random_tokens(prior.config, 8)
    whole = stepped(prior, text, image, 4)
    by_caption = torch.cat([stepped(prior, text[c : c + 1], image[4 * c : 4 * c + 4], 4) for c in range(2)])
    alone = torch.cat([stepped(prior, text[n // 4 : n // 4 + 1], image[n : n + 1], 1) for n in range(8)])
    torch.testing.assert_close(by_caption, whole, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(alone, whole, atol=1e-5, rtol=1e-5)


def test_one_prefill_serves_any_number_of_candidates_afresh():
    prior = tiny_pixelcnn()
    text, image = random_tokens(prior.config, 2)
    with torch.no_grad():
        cache = prior.prefill(text)
        alone = prior.step(None, 0, cache)
        prior.step(image[:, 0], 1, cache)
        shared = cache.for_candidates(4)
        torch.testing.assert_close(prior.step(None, 0, shared), alone.repeat_interleave(4, 0), atol=1e-6, rtol=1e-6)


def test_text_is_read_as_the_transformer_reads_it():
    """With the same weights the text logits are the same: the two priors differ in their image part alone."""
    transformer, prior = tiny_prior(["full", "full"]), tiny_pixelcnn()
    text, image = random_tokens(prior.config, 3)
    taken = {name: value for name, value in transformer.state_dict().items() if name in prior.state_dict()}
    prior.load_state_dict({**prior.state_dict(), **{name: taken[name] for name in taken if not name.startswith("image")}})
    torch.testing.assert_close(prior(text, image)[0], transformer(text, image)[0], atol=1e-5, rtol=1e-5)


def test_text_is_causal_and_every_image_token_sees_all_of_it_but_the_last():
    prior = tiny_pixelcnn()
    text, image = random_tokens(prior.config, 1)
    text_logits, image_logits = prior(text, image)
    for token in range(prior.config.text_length):
        other = text.clone()
        other[0, token] = (text[0, token] + 1) % prior.config.num_text_ids
        other_text_logits, other_image_logits = prior(other, image)
        assert torch.equal(moved(text_logits, other_text_logits), torch.arange(prior.config.text_length) > token)
        assert moved(image_logits, other_image_logits).all() == (token < prior.config.text_length - 1)


def test_a_batch_of_one_goes_backward_through_every_parameter():
    prior = tiny_pixelcnn()
    text_logits, image_logits = prior(*random_tokens(prior.config, 1))
    (text_logits.square().mean() + image_logits.square().mean()).backward()
    assert [name for name, p in prior.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0] == []


def test_the_caller_s_tensors_are_left_alone():
    prior = tiny_pixelcnn()
    text, image = random_tokens(prior.config, 2)
    before = text.clone(), image.clone()
    prior(text, image)
    stepped(prior, text, image, 1)
    assert torch.equal(text, before[0]) and torch.equal(image, before[1])


def test_what_cannot_be_read_is_named():
    prior = tiny_pixelcnn()
    text, image = random_tokens(prior.config, 2)
    with pytest.raises(ValueError, match=r"image tokens have shape \(2, 8\), this prior reads 9"):
        prior(text, image[:, :-1])
    with pytest.raises(ValueError, match=r"text tokens have shape \(2, 4\), this prior reads 5"):
        prior.prefill(text[:, :4])
    with pytest.raises(ValueError, match="image token 13 is outside .* 0 to 12"):
        prior(text, torch.full_like(image, 13))


def test_logits_are_float32_under_autocast_whole_or_stepped():
    prior = tiny_pixelcnn()
    text, image = random_tokens(prior.config, 2)
    expected = prior(text, image)[1].detach()
    with torch.autocast("cpu", dtype=torch.bfloat16), torch.no_grad():
        whole, steps = prior(text, image), stepped(prior, text, image, 1)
    assert {whole[0].dtype, whole[1].dtype, steps.dtype} == {torch.float32}
    for found in (whole[1], steps):
        assert (found - expected).abs().mean() < 0.05 * expected.abs().mean()


def test_at_the_start_every_layer_passes_on_features_of_the_same_size():
    config = PixelCNNConfig(
        **{**vars(tiny_pixelcnn_config(grid_size=8)), "pixelcnn": PixelCNNSizes(layers=12, width=64, kernel=3)}
    )
    first, second = PixelCNN(config), PixelCNN(config)
    for prior in (first, second):
        initialise_pixelcnn(prior, torch.Generator().manual_seed(3))
    assert all(torch.equal(a, b) for a, b in zip(first.parameters(), second.parameters(), strict=True))
    sizes = []
    for layer in first.layers:
        layer.register_forward_hook(lambda layer, inputs, outputs: sizes.append(outputs[0].std().item()))
    image_logits = first(*random_tokens(config, 4))[1]
    assert 0.8 < sizes[-1] / sizes[0] < 1.25
    assert image_logits.softmax(-1).max() < 3 / config.codebook_size  # no code is preferred yet


@pytest.mark.parametrize(
    "change, message",
    [
        ({"kernel": 4}, "kernel must be odd and at least 3"),
        ({"kernel": 1}, "kernel must be odd and at least 3"),
        ({"layers": 0}, "layers must be at least 1, got 0"),
        ({"width": 0}, "width must be at least 1, got 0"),
    ],
)
def test_sizes_that_make_no_pixelcnn(change, message):
    with pytest.raises(ValueError, match=message):
        PixelCNNSizes(**{"layers": 2, "width": 8, "kernel": 3, **change})


@pytest.mark.parametrize(
    "change, message",
    [
        ({"heads": 3}, "heads must divide width, got width 16 and heads 3"),
        ({"text_length": 0}, "text_length must be at least 1"),
        ({"grid_size": 0}, "grid_size must be at least 1"),
    ],
)
def test_configs_that_make_no_pixelcnn(change, message):
    with pytest.raises(ValueError, match=message):
        PixelCNNConfig(**{**vars(tiny_pixelcnn_config()), **change})


@pytest.mark.parametrize("make", [tiny_prior, tiny_pixelcnn])
def test_a_folder_says_which_kind_of_prior_it_holds(make, tmp_path):
    prior = make()
    save_model(prior, prior.config, tmp_path)
    assert json.loads((tmp_path / "config.json").read_text())["kind"] == prior.config.kind
    loaded = load_prior(tmp_path)
    text, image = random_tokens(prior.config, 2)
    assert type(loaded) is type(prior) and loaded.config == prior.config and not loaded.training
    assert torch.equal(loaded(text, image)[1], prior(text, image)[1])


@pytest.mark.parametrize("change", [{"kind": "rnn"}, {"kind": None}, {}])
def test_a_folder_with_another_kind_or_none_is_named(change, tmp_path):
    prior = tiny_pixelcnn()
    save_model(prior, prior.config, tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    del config["kind"]
    (tmp_path / "config.json").write_text(json.dumps({**config, **change}))
    with pytest.raises(ValueError, match=r"config.json: kind: .* none of the priors .* transformer, pixelcnn"):
        load_prior(tmp_path)


@pytest.mark.parametrize("make", [tiny_prior, tiny_pixelcnn])
def test_every_kind_is_built_and_initialised_by_its_config(make):
    like = make()
    prior = build_prior(like.config)
    initialise_prior(prior, torch.Generator().manual_seed(0))
    assert type(prior) is type(like) is KINDS[like.config.kind].build
    assert prior(*random_tokens(like.config, 1))[1].std() > 0
