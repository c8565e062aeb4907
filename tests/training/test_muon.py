"""Muon against singular value decomposition, against torch's own (in bfloat16), and AdamW where it has no say."""

import io

import pytest
import torch
from torch import nn

from dalle.training.adamw import AdamW
from dalle.training.muon import MOMENTUM, RMS, Muon, direction, hidden_matrices, orthogonalised

STEPS = 5


def network() -> nn.Module:
    torch.manual_seed(0)
    layers = nn.Sequential(nn.Conv2d(3, 8, 3), nn.Linear(16, 24), nn.LayerNorm(24))
    layers[0].to(memory_format=torch.channels_last)
    model = nn.Module()
    model.embedding, model.blocks, model.head = nn.Embedding(10, 16), nn.ModuleList([layers]), nn.Linear(24, 5)
    return model


def ours(model: nn.Module) -> Muon:
    matrices = hidden_matrices(model)
    others = [p for p in model.parameters() if all(p is not matrix for matrix in matrices)]
    adamw = AdamW([{"params": others, "weight_decay": 0.0}], learning_rate=0.01, betas=(0.9, 0.96), eps=1e-8)
    return Muon(matrices, 0.1, adamw, learning_rate=0.01)


def set_gradients(model: nn.Module, step: int) -> None:
    generator = torch.Generator().manual_seed(step)
    for value in model.parameters():
        value.grad = torch.empty_like(value).copy_(torch.randn(value.shape, generator=generator))


def trained(model: nn.Module, optimizer, steps: range = range(STEPS)) -> list[torch.Tensor]:
    for step in steps:
        set_gradients(model, step)
        optimizer.step()
    return [value.detach().clone() for value in model.parameters()]


@pytest.mark.parametrize("shape", [(8, 8), (8, 30), (30, 8), (1, 5)])
def test_singular_vectors_stay_and_singular_values_come_near_one(shape):
    matrix = torch.randn(shape, generator=torch.Generator().manual_seed(1)) * 40
    left, _, right = torch.linalg.svd(matrix, full_matrices=False)
    core = left.T @ orthogonalised(matrix) @ right.T  # diagonal where the singular vectors are the same
    values = core.diagonal()
    assert (core - torch.diag(values)).abs().max() < 1e-4
    assert values.min() > 0.6 and values.max() < 1.25


def test_zeros_stay_zeros():
    assert not orthogonalised(torch.zeros(3, 4)).any()


def test_matrices_move_along_their_orthogonal_momentum_and_all_else_as_by_adamw():
    model = network()
    before = {name: value.detach().clone() for name, value in model.named_parameters()}
    optimizer, momenta = ours(model), {}
    expected = {name: value.double() for name, value in before.items()}
    for step in range(STEPS):
        set_gradients(model, step)
        for name in ("blocks.0.0.weight", "blocks.0.1.weight"):
            gradient = model.get_parameter(name).grad.double().flatten(1)
            momenta[name] = momenta.get(name, 0.0) * MOMENTUM + gradient * (1 - MOMENTUM)
            ahead = gradient * (1 - MOMENTUM) + momenta[name] * MOMENTUM
            update = orthogonalised(ahead) * RMS * max(ahead.shape) ** 0.5
            expected[name] = expected[name] * (1 - 0.01 * 0.1) - 0.01 * update.view(expected[name].shape)
        optimizer.step()
    for name in ("blocks.0.0.weight", "blocks.0.1.weight"):
        torch.testing.assert_close(model.get_parameter(name).double(), expected[name], rtol=0, atol=1e-5)
    plain = network()
    others = [value for name, value in plain.named_parameters() if name not in momenta]
    trained(plain, AdamW([{"params": others, "weight_decay": 0.0}], learning_rate=0.01, betas=(0.9, 0.96), eps=1e-8))
    for name, value in plain.named_parameters():
        if name not in momenta:
            assert torch.equal(value, model.get_parameter(name)), name


def test_queries_keys_and_values_are_made_orthogonal_each_by_itself():
    together = torch.randn(24, 8, generator=torch.Generator().manual_seed(2))
    moved = direction(together)
    for part, whole in zip(moved.chunk(3), together.chunk(3), strict=True):
        torch.testing.assert_close(part, orthogonalised(whole) * RMS * 8**0.5)
    assert moved.square().mean().sqrt() == pytest.approx(RMS, rel=0.3)


def test_it_goes_where_the_muon_of_torch_goes():
    ours_weight, theirs = (nn.Parameter(torch.randn(24, 16, generator=torch.Generator().manual_seed(3))) for _ in range(2))
    nothing = AdamW([], learning_rate=0.01, betas=(0.9, 0.9), eps=1e-8)
    optimizers = (
        Muon([ours_weight], 0.1, nothing, learning_rate=0.01),
        torch.optim.Muon([theirs], lr=0.01, weight_decay=0.1, momentum=MOMENTUM, adjust_lr_fn="match_rms_adamw"),
    )
    start = theirs.detach().clone()
    for step in range(STEPS):
        for weight, optimizer in zip((ours_weight, theirs), optimizers, strict=True):
            weight.grad = torch.randn(24, 16, generator=torch.Generator().manual_seed(step))
            optimizer.step()
    moves = [(weight.detach() - start).flatten() for weight in (ours_weight, theirs)]
    assert torch.cosine_similarity(*moves, dim=0) > 0.999  # torch computes in bfloat16
    assert moves[0].norm() == pytest.approx(float(moves[1].norm()), rel=0.02)


def test_the_bits_do_not_depend_on_the_number_of_cores():
    threads, results = torch.get_num_threads(), []
    try:
        for number in (1, 2, 5):
            torch.set_num_threads(number)
            model = network()
            results.append(trained(model, ours(model)))
    finally:
        torch.set_num_threads(threads)
    for other in results[1:]:
        assert all(map(torch.equal, results[0], other))


@pytest.mark.parametrize("saved_after", [0, 3])
def test_a_saved_state_goes_on_with_the_same_bits(saved_after):
    whole, part = network(), network()
    expected = trained(whole, ours(whole))
    before = ours(part)
    trained(part, before, range(saved_after))
    file = io.BytesIO()
    torch.save(before.state_dict(), file)
    file.seek(0)
    after = ours(part)
    after.load_state_dict(torch.load(file, weights_only=True))
    assert all(map(torch.equal, trained(part, after, range(saved_after, STEPS)), expected))


def test_hidden_matrices_are_those_of_lists_of_layers():
    model = network()
    model.blocks[0][1].bias.requires_grad_(False)
    assert [tuple(matrix.shape) for matrix in hidden_matrices(model)] == [(8, 3, 3, 3), (24, 16)]
    model.blocks[0][0].weight.requires_grad_(False)
    assert [tuple(matrix.shape) for matrix in hidden_matrices(model)] == [(24, 16)]
