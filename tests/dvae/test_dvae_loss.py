import math

import numpy as np
import pytest
import torch
from scipy.special import softmax
from scipy.stats import entropy

from dalle.dvae.loss import kl_to_uniform, kl_weight, negative_elb
from tiny_dvaes import blobs


def logits_like(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("codebook_size", [2, 7, 8192])
def test_divergence_is_zero_for_uniform_and_ln_k_for_certain_codes(codebook_size):
    uniform = torch.full((2, codebook_size, 3, 3), 1.7)
    torch.testing.assert_close(kl_to_uniform(uniform), torch.zeros(2, 3, 3), atol=1e-5, rtol=0)
    certain = torch.zeros(2, codebook_size, 3, 3)
    certain[:, 1] = 1000.0
    torch.testing.assert_close(kl_to_uniform(certain), torch.full((2, 3, 3), math.log(codebook_size)))


def test_divergence_is_scipy_s_relative_entropy_of_each_cell():
    code_logits = logits_like(2, 9, 3, 4)
    probabilities = softmax(code_logits.double().numpy(), axis=1)
    expected = entropy(probabilities, np.full_like(probabilities, 1 / 9), axis=1)
    np.testing.assert_allclose(kl_to_uniform(code_logits).numpy(), expected, atol=1e-5)


def test_weight_of_the_divergence_at_the_paper_s_sizes():
    assert kl_weight(6.6, 256, 32) == pytest.approx(6.6 / 192)
    assert kl_weight(6.6, 64, 8) == pytest.approx(6.6 / 192)  # the downsampling counts, not the size
    assert kl_weight(1.0, 256, 64) == pytest.approx(1 / 48)


@pytest.mark.parametrize("beta", [0.0, 1.0, 6.6])
def test_the_loss_is_the_summed_bound_over_the_number_of_subpixels(beta):
    """Eq. 1 with sums over subpixels and cells, then divided by 3 R^2 (A.2), instead of the two means of the code."""
    images, maps, code_logits = blobs(2, 0), logits_like(2, 6, 16, 16), logits_like(2, 5, 4, 4, seed=1)
    x = 0.8 * images.double() + 0.1
    mu, b = maps[:, :3].double(), maps[:, 3:].double().exp()
    f = torch.exp(-(torch.log(x / (1 - x)) - mu).abs() / b) / (2 * b * x * (1 - x))
    q = torch.softmax(code_logits.double(), 1)
    bound = f.log().sum() - beta * (q * (q * 5).log()).sum()
    loss, nll, kl = negative_elb(maps, images, code_logits, beta, "logit_laplace")
    assert loss.item() == pytest.approx(-bound.item() / (2 * 3 * 16 * 16), rel=1e-5)
    assert nll.item() == pytest.approx(-f.log().mean().item(), rel=1e-5)
    assert kl.item() == pytest.approx((q * (q * 5).log()).sum(1).mean().item(), rel=1e-5)


def test_a_duplicated_batch_has_the_same_loss():
    images, maps, code_logits = blobs(3, 0), logits_like(3, 6, 16, 16), logits_like(3, 5, 4, 4, seed=1)
    once = negative_elb(maps, images, code_logits, 6.6, "logit_laplace")
    twice = negative_elb(*(torch.cat([part, part]) for part in (maps, images, code_logits)), 6.6, "logit_laplace")
    torch.testing.assert_close(once, twice)


def test_the_gradient_of_the_divergence_points_to_uniform():
    code_logits = logits_like(2, 9, 3, 3).requires_grad_()
    kl_to_uniform(code_logits).sum().backward()
    stepped = code_logits.detach() - 0.1 * code_logits.grad
    assert (kl_to_uniform(stepped) < kl_to_uniform(code_logits)).all()
