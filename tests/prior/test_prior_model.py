import pytest
import torch

from dalle.prior.kinds import load_prior
from dalle.prior.masks import MASKS, image_mask, layer_masks
from dalle.prior.model import Prior, PriorConfig, initialise
from dalle.training.model_folder import save_model
from dalle.training.precision import autocast
from tiny_priors import random_tokens, tiny_config, tiny_prior


def moved(before, after):
    """Which positions of the logits (B, L, n) differ in the only row."""
    return (before != after).any(-1)[0]


@pytest.mark.parametrize("mask", MASKS)
@pytest.mark.parametrize("grid_size", [3, 4])
def test_one_layer_reads_exactly_its_mask(mask, grid_size):
    prior = tiny_prior([mask], grid_size=grid_size)
    text, image = random_tokens(prior.config, 1)
    allowed = image_mask(mask, grid_size, prior.config.conv_kernel)
    text_logits, image_logits = prior(text, image)
    for token in range(prior.config.num_positions):
        other = image.clone()
        other[0, token] = (image[0, token] + 1) % prior.config.codebook_size
        other_text_logits, other_image_logits = prior(text, other)
        slot = token + 1  # inputs are shifted right
        expected = allowed[:, slot] if slot < len(allowed) else torch.zeros(len(allowed), dtype=torch.bool)
        assert torch.equal(moved(image_logits, other_image_logits), expected)
        assert not moved(text_logits, other_text_logits).any()


@pytest.mark.parametrize("masks", [*[[mask] * 3 for mask in MASKS], layer_masks(6)], ids=str)
def test_nothing_before_a_token_depends_on_it(masks):
    prior = tiny_prior(masks)
    text, image = random_tokens(prior.config, 1)
    text_logits, image_logits = prior(text, image)
    for token in range(prior.config.text_length - 1):
        other = text.clone()
        other[0, token] = (text[0, token] + 1) % prior.config.num_text_ids
        other_text_logits, other_image_logits = prior(other, image)
        expected = torch.arange(prior.config.text_length) > token
        assert torch.equal(moved(text_logits, other_text_logits), expected)
        assert moved(image_logits, other_image_logits).all()  # images see all text
    for token in range(prior.config.num_positions):
        other = image.clone()
        other[0, token] = (image[0, token] + 1) % prior.config.codebook_size
        other_text_logits, other_image_logits = prior(text, other)
        assert not moved(text_logits, other_text_logits).any()
        assert not moved(image_logits, other_image_logits)[: token + 1].any()
        assert token == prior.config.num_positions - 1 or moved(image_logits, other_image_logits)[token + 1]


def test_inputs_are_shifted_right_and_carry_the_predicted_position():
    prior = tiny_prior(grid_size=3)
    text, image = random_tokens(prior.config, 2)
    seen = []
    prior.blocks[0].register_forward_pre_hook(lambda block, inputs: seen.append(inputs[0]))
    prior(text, image)
    T = prior.config.text_length
    for row in range(2):
        for slot in range(T):
            token = prior.start_of_text if slot == 0 else prior.text_embedding.weight[text[row, slot - 1]]
            torch.testing.assert_close(seen[0][row, slot], token + prior.text_positions.weight[slot])
        for slot in range(9):
            token = prior.start_of_image if slot == 0 else prior.image_embedding.weight[image[row, slot - 1]]
            position = prior.rows.weight[slot // 3] + prior.columns.weight[slot % 3]
            torch.testing.assert_close(seen[0][row, T + slot], token + position)


@pytest.mark.parametrize("masks", [*[[mask] * 2 for mask in MASKS], layer_masks(6)], ids=str)
@pytest.mark.parametrize("grid_size", [1, 3, 4, 5])
def test_cached_steps_equal_the_uncached_model(masks, grid_size):
    prior = tiny_prior(masks, grid_size=grid_size, conv_kernel=5)
    captions, candidates = 2, 3
    text, _ = random_tokens(prior.config, captions)
    _, image = random_tokens(prior.config, captions * candidates)
    with torch.no_grad():
        _, expected = prior(text.repeat_interleave(candidates, 0), image)
        cache = prior.prefill(text).for_candidates(candidates)
        for position in range(prior.config.num_positions):
            previous = None if position == 0 else image[:, position - 1]
            logits = prior.step(previous, position, cache)
            torch.testing.assert_close(logits, expected[:, position], atol=1e-5, rtol=1e-5)


def test_one_prefill_serves_any_number_of_candidates():
    prior = tiny_prior()
    text, image = random_tokens(prior.config, 2)
    with torch.no_grad():
        cache = prior.prefill(text)
        alone = prior.step(None, 0, cache)
        shared = cache.for_candidates(4)
        torch.testing.assert_close(prior.step(None, 0, shared), alone.repeat_interleave(4, 0), atol=1e-6, rtol=1e-6)
    assert shared.layers[0].text_keys.data_ptr() == cache.layers[0].text_keys.data_ptr()


def test_the_caller_s_tensors_are_left_alone():
    prior = tiny_prior()
    text, image = random_tokens(prior.config, 2)
    before = text.clone(), image.clone()
    prior(text, image)
    prior.step(image[:, 0], 1, prior.prefill(text))
    assert torch.equal(text, before[0]) and torch.equal(image, before[1])


def test_a_batch_of_one_goes_backward_through_every_parameter():
    prior = tiny_prior()
    text_logits, image_logits = prior(*random_tokens(prior.config, 1))
    (text_logits.square().mean() + image_logits.square().mean()).backward()
    assert [name for name, p in prior.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0] == []


def test_vocabulary_edges():
    config = tiny_config()
    prior = tiny_prior()
    text, image = random_tokens(config, 1)
    for token in (0, config.num_text_ids - 1):
        assert torch.isfinite(prior(torch.full_like(text, token), image)[1]).all()
    for token in (0, config.codebook_size - 1):
        assert torch.isfinite(prior(text, torch.full_like(image, token))[1]).all()
    for token in (-1, config.num_text_ids):
        with pytest.raises(ValueError, match=f"text token {token} is outside .* 0 to {config.num_text_ids - 1}"):
            prior(torch.full_like(text, token), image)
    for token in (-1, config.codebook_size):
        with pytest.raises(ValueError, match=f"image token {token} is outside .* 0 to {config.codebook_size - 1}"):
            prior(text, torch.full_like(image, token))


def test_wrong_lengths_are_named():
    prior = tiny_prior()
    text, image = random_tokens(prior.config, 2)
    with pytest.raises(ValueError, match=r"text tokens have shape \(2, 6\), this prior reads 5"):
        prior(torch.cat([text, text[:, :1]], 1), image)
    with pytest.raises(ValueError, match=r"text tokens have shape \(2, 4\), this prior reads 5"):
        prior.prefill(text[:, :4])
    with pytest.raises(ValueError, match=r"image tokens have shape \(2, 8\), this prior reads 9"):
        prior(text, image[:, :-1])


@pytest.mark.parametrize(
    "change, message",
    [
        ({"heads": 3}, "heads must divide width, got width 16 and heads 3"),
        ({"conv_kernel": 4}, "conv_kernel must be odd"),
        ({"layers": 4}, "one mask a layer, got 5 for 4 layers"),
        ({"masks": ("row",) * 4 + ("diagonal",)}, "unknown attention mask 'diagonal'"),
        ({"grid_size": 0}, "grid_size must be at least 1"),
        ({"text_length": 0}, "text_length must be at least 1"),
    ],
)
def test_configs_that_make_no_prior(change, message):
    with pytest.raises(ValueError, match=message):
        PriorConfig(**{**vars(tiny_config()), **change})


def test_logits_are_float32_under_autocast():
    prior = tiny_prior()
    text, image = random_tokens(prior.config, 2)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        text_logits, image_logits = prior(text, image)
        step_logits = prior.step(None, 0, prior.prefill(text))
    assert {text_logits.dtype, image_logits.dtype, step_logits.dtype} == {torch.float32}
    torch.testing.assert_close(image_logits, prior(text, image)[1], atol=0.2, rtol=0.1)


def test_initialisation_is_a_function_of_the_generator_and_scales_the_residual_branches():
    config = PriorConfig(**{**vars(tiny_config(layers=8)), "width": 64})
    first, second = Prior(config), Prior(config)
    initialise(first, torch.Generator().manual_seed(3))
    initialise(second, torch.Generator().manual_seed(3))
    assert all(torch.equal(a, b) for a, b in zip(first.parameters(), second.parameters(), strict=True))
    block = first.blocks[4]
    assert block.attention.qkv.weight.std().item() == pytest.approx(0.02, rel=0.05)
    for layer in (block.attention.out, block.mlp[2]):
        assert layer.weight.std().item() == pytest.approx(0.02 / 4, rel=0.05)


@pytest.mark.parametrize(("heads", "parameters"), [(30, 2.8e9), (42, 5.6e9), (62, 12.0e9)])
def test_parameters_of_the_paper(heads, parameters):
    """Table 1's three models: 64 layers of width 64 * heads, 12 d^2 L effective parameters (the blocks' matrices)."""
    config = PriorConfig(
        text_vocab_size=16384,
        text_length=256,
        codebook_size=8192,
        grid_size=32,
        layers=64,
        width=64 * heads,
        heads=heads,
        conv_kernel=11,
        masks=tuple(layer_masks(64)),
    )
    with torch.device("meta"):
        prior = Prior(config)
    effective = sum(p.numel() for block in prior.blocks for p in block.parameters() if p.ndim == 2)
    assert effective == 12 * config.width**2 * config.layers
    assert effective == pytest.approx(parameters, rel=0.015)


def test_a_saved_prior_comes_back(tmp_path):
    prior = tiny_prior()
    save_model(prior, prior.config, tmp_path)
    loaded = load_prior(tmp_path)
    text, image = random_tokens(prior.config, 2)
    assert loaded.config == prior.config
    assert torch.equal(loaded(text, image)[1], prior(text, image)[1])


def kept_for_backward(prior, tokens):
    """(bytes that a forward pass leaves for the backward pass beside the model's own, the gradients)."""
    kept, own = {}, {value.data_ptr() for value in (*prior.parameters(), *prior.buffers())}

    def keep(tensor):
        kept[tensor.data_ptr()] = tensor.nbytes
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        loss = sum(logits.square().mean() for logits in prior(*tokens))
    gradients = torch.autograd.grad(loss, list(prior.parameters()))
    return sum(size for place, size in kept.items() if place not in own), gradients


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_activations_computed_twice_are_not_kept_and_give_the_same_gradients(precision):
    """Kept of a layer is its input, and nothing else of it: the count grows by as much with every layer."""
    bytes_a_layer = {}
    for recompute in (False, True):
        kept = {}
        for layers in (4, 8):
            prior = tiny_prior(grid_size=4, layers=layers)
            prior.activation_checkpointing = recompute
            with autocast("cpu", precision):
                kept[layers], gradients = kept_for_backward(prior, random_tokens(prior.config, 3))
            prior.activation_checkpointing = False
            with autocast("cpu", precision):
                _, expected = kept_for_backward(prior, random_tokens(prior.config, 3))
            assert all(torch.equal(a, b) for a, b in zip(gradients, expected, strict=True))
        bytes_a_layer[recompute] = (kept[8] - kept[4]) / 4
    whole_input = 3 * (5 + 16) * 16 * 4  # float32 (3, T + G*G, D)
    assert bytes_a_layer[True] <= whole_input < bytes_a_layer[False] / 10
