import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chisquare

from dalle.dvae.relaxation import gumbel_softmax, one_hot_codes, straight_through


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def logits(*shape):
    return 2 * torch.randn(*shape, generator=generator(99))


@settings(max_examples=30, deadline=None)
@given(st.floats(0.02, 5), st.integers(0, 2**60))
def test_soft_codes_are_distributions(tau, seed):
    soft_codes = gumbel_softmax(logits(2, 7, 3, 3), tau, generator(seed))
    assert soft_codes.shape == (2, 7, 3, 3) and soft_codes.dtype == torch.float32
    assert (soft_codes >= 0).all()
    torch.testing.assert_close(soft_codes.sum(1), torch.ones(2, 3, 3))


def test_the_layout_of_the_logits_in_memory_changes_nothing():
    """Kernels differ in the layout they return; noise filled in the order of memory would follow it."""
    code_logits = logits(2, 7, 3, 3)
    other = code_logits.contiguous(memory_format=torch.channels_last)
    assert other.stride() != code_logits.stride()
    torch.testing.assert_close(gumbel_softmax(other, 0.5, generator()), gumbel_softmax(code_logits, 0.5, generator()))


def test_every_temperature_softens_the_same_perturbed_logits():
    """softmax(v / tau): the largest v has the largest share, and tau times the log-ratios gives the differences of v."""
    code_logits = logits(2, 7, 3, 3)
    noise = -torch.log(-torch.log(torch.rand(2, 3, 3, 7, generator=generator()))).movedim(-1, 1)
    perturbed = code_logits + noise
    for tau in (1.0, 0.3, 1 / 16):
        soft_codes = gumbel_softmax(code_logits, tau, generator())
        assert torch.equal(soft_codes.argmax(1), perturbed.argmax(1))
    for tau in (0.5, 1.0, 2.0):
        recovered = tau * gumbel_softmax(code_logits, tau, generator()).double().log()
        differences = recovered - recovered[:, :1]
        torch.testing.assert_close(differences, (perturbed - perturbed[:, :1]).double(), atol=1e-3, rtol=1e-3)


def test_soft_codes_become_one_hot_as_tau_vanishes():
    code_logits = logits(4, 7, 3, 3)
    distances = []
    for tau in (1.0, 0.1, 0.01, 1e-4):
        soft_codes = gumbel_softmax(code_logits, tau, generator())
        distances.append((soft_codes - one_hot_codes(soft_codes.argmax(1), 7)).abs().max().item())
    assert distances == sorted(distances, reverse=True) and distances[-1] < 1e-3


def test_the_noise_is_gumbel():
    """With Gumbel noise, and no other, the largest perturbed logit is distributed as softmax(logits)."""
    code_logits = torch.tensor([2.0, 1.0, 0.0, -1.0, 1.5])
    soft_codes = gumbel_softmax(code_logits.view(1, 5, 1, 1).expand(1, 5, 200, 200), 0.5, generator())
    counts = torch.bincount(soft_codes.argmax(1).flatten(), minlength=5)
    assert chisquare(counts.numpy(), (torch.softmax(code_logits.double(), 0) * 40_000).numpy()).pvalue > 0.01


def test_noise_is_a_function_of_the_generator_alone():
    first = gumbel_softmax(logits(2, 7, 3, 3), 1.0, generator(5))
    torch.manual_seed(1)
    assert torch.equal(first, gumbel_softmax(logits(2, 7, 3, 3), 1.0, generator(5)))
    assert not torch.equal(first, gumbel_softmax(logits(2, 7, 3, 3), 1.0, generator(6)))


def test_half_precision_logits_are_relaxed_in_float32():
    half = logits(2, 7, 3, 3).bfloat16()
    assert torch.equal(gumbel_softmax(half, 0.1, generator()), gumbel_softmax(half.float(), 0.1, generator()))


@pytest.mark.parametrize("tau", [0.0, -1.0])
def test_a_temperature_of_zero_or_less_is_refused(tau):
    with pytest.raises(ValueError, match=f"tau must be above 0, got {tau}"):
        gumbel_softmax(logits(1, 2, 1, 1), tau, generator())


def test_one_hot_codes():
    codes = torch.tensor([[[2, 0], [1, 2]]])
    expected = torch.zeros(1, 3, 2, 2)
    for row, column in ((0, 0), (0, 1), (1, 0), (1, 1)):
        expected[0, codes[0, row, column], row, column] = 1
    assert torch.equal(one_hot_codes(codes, 3), expected)


def test_straight_through_reads_hard_codes_and_learns_by_soft_ones():
    code_logits = logits(2, 7, 3, 3).requires_grad_()
    weights = logits(2, 7, 3, 3)
    soft_codes = gumbel_softmax(code_logits, 0.5, generator())
    hard_codes = straight_through(soft_codes)
    torch.testing.assert_close(hard_codes, one_hot_codes(soft_codes.argmax(1), 7))
    (expected,) = torch.autograd.grad((soft_codes * weights).sum(), code_logits, retain_graph=True)
    (actual,) = torch.autograd.grad((hard_codes * weights).sum(), code_logits)
    torch.testing.assert_close(actual, expected)


def test_a_uniform_draw_of_zero_leaves_its_code_no_share(monkeypatch):
    """`rand` draws from [0, 1): the logarithm of 0 is infinite, and neither codes nor gradients may become nan by it."""
    draws = torch.full((1, 1, 1, 4), 0.5)
    draws[..., 2] = 0
    monkeypatch.setattr(torch, "rand", lambda *args, **kwargs: draws.clone())
    code_logits = torch.tensor([0.0, 1.0, 2.0, 3.0]).view(1, 4, 1, 1).requires_grad_()
    soft_codes = gumbel_softmax(code_logits, 1.0, generator())
    (gradient,) = torch.autograd.grad(soft_codes.square().sum(), code_logits)
    assert soft_codes[0, 2, 0, 0] == 0 and torch.isfinite(soft_codes).all() and torch.isfinite(gradient).all()
