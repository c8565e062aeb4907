import math
from dataclasses import replace

import pytest
import torch

from dalle.baselines.damsm.loss import Gammas, choice_loss, sentence_matches, word_matches

GAMMAS = Gammas(gamma1=4.0, gamma2=5.0, gamma3=10.0)
LENGTHS = [3, 1, 5, 4]  # of four captions, padded to six words


@pytest.fixture
def vectors():
    """Words (4, 6, 6) with numbers in the padding too, which of them are words (4, 6), and regions (3, 6, 7), in float64."""
    generator = torch.Generator().manual_seed(0)
    e, v = (torch.randn(shape, generator=generator, dtype=torch.float64) for shape in ((4, 6, 6), (3, 6, 7)))
    return e, torch.arange(6) < torch.tensor(LENGTHS)[:, None], v


def match_by_hand(words, regions, gammas):
    """Equations 7 to 10 for one caption and one picture, a vector at a time: words and regions are lists of vectors."""
    s = [[e @ v for v in regions] for e in words]
    sums = [sum(s[i][j].exp() for i in range(len(words))) for j in range(len(regions))]
    total = 0
    for i, e in enumerate(words):
        weights = [(gammas.gamma1 * s[i][j].exp() / sums[j]).exp() for j in range(len(regions))]
        context = sum(weight * v for weight, v in zip(weights, regions, strict=True)) / sum(weights)
        total = total + (gammas.gamma2 * (context @ e) / (context.norm() * e.norm())).exp()
    return total.log()


@pytest.mark.parametrize("gammas", [GAMMAS, Gammas(gamma1=0.5, gamma2=1.5, gamma3=1.0)])
def test_words_match_regions_as_the_equations_say(vectors, gammas):
    e, is_word, v = (value.clone() for value in vectors)
    e.requires_grad_(), v.requires_grad_()
    ours = word_matches(e, is_word, v, gammas)
    pictures = [list(v[k].T) for k in range(3)]
    captions = [list(e[b].T[:length]) for b, length in enumerate(LENGTHS)]
    expected = torch.stack([torch.stack([match_by_hand(words, regions, gammas) for words in captions]) for regions in pictures])
    torch.testing.assert_close(ours, expected, rtol=1e-10, atol=1e-10)
    weights = torch.arange(1.0, 13.0, dtype=torch.float64).view(3, 4)
    gradients = [torch.autograd.grad((matches * weights).sum(), (e, v), retain_graph=True) for matches in (ours, expected)]
    torch.testing.assert_close(*gradients, rtol=1e-8, atol=1e-10)


def test_one_word_before_two_regions_by_hand():
    # s = (1, 0); alone in its caption the word has all of either region's softmax, so it attends to both alike: c = (1/2, 1/2)
    e, v = torch.tensor([[[1.0], [0.0]]]), torch.tensor([[[1.0, 0.0], [0.0, 1.0]]])
    matches = word_matches(e, torch.ones(1, 1, dtype=torch.bool), v, GAMMAS)
    assert float(matches) == pytest.approx(5 * math.sqrt(1 / 2), rel=1e-6)


def test_two_words_share_two_regions_by_hand():
    # s is the identity: each word has e / (e + 1) of its own region and 1 / (e + 1) of the other's
    e = v = torch.eye(2)[None]
    own, other = (math.exp(4 * share) for share in (math.e / (math.e + 1), 1 / (math.e + 1)))
    cosine = own / math.hypot(own, other)
    matches = word_matches(e, torch.ones(1, 2, dtype=torch.bool), v, GAMMAS)
    assert float(matches) == pytest.approx(math.log(2) + 5 * cosine, rel=1e-6)


def test_padding_and_the_order_of_words_and_regions_change_nothing(vectors):
    e, is_word, v = vectors
    expected = word_matches(e, is_word, v, GAMMAS)
    longer = torch.cat([e, torch.full((4, 6, 2), 3.0)], dim=2), torch.cat([is_word, torch.zeros(4, 2, dtype=torch.bool)], dim=1)
    torch.testing.assert_close(word_matches(*longer, v, GAMMAS), expected)
    words, regions = torch.tensor([3, 5, 0, 2, 4, 1]), torch.randperm(7, generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(word_matches(e[..., words], is_word[:, words], v[..., regions], GAMMAS), expected)


def test_the_gradient_is_finite_where_padding_is_zero(vectors):
    e, is_word, v = vectors
    zeroed = (e * is_word[:, None]).requires_grad_()
    (gradient,) = torch.autograd.grad(word_matches(zeroed, is_word, v, GAMMAS).sum(), zeroed)
    assert torch.isfinite(gradient).all()
    assert gradient.mT[~is_word].abs().max() == 0
    assert gradient.mT[is_word].abs().min() > 0


def test_a_sentence_matches_by_its_angle():
    sentences, wholes = torch.tensor([[3.0, 4.0], [0.0, 2.0]]), torch.tensor([[5.0, 0.0], [1.0, 1.0], [0.0, -1.0]])
    expected = torch.tensor([[0.6, 0.0], [1.4 / math.sqrt(2), 1 / math.sqrt(2)], [-0.8, -1.0]])
    torch.testing.assert_close(sentence_matches(sentences, wholes), expected)


def test_the_choice_goes_both_ways_and_leaves_the_same_out():
    matches = torch.randn(5, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    groups = [0, 1, 0, 2, 1]
    same = torch.tensor([[a == b for b in groups] for a in groups])
    expected = 0.0
    for i in range(5):
        rivals = [j for j in range(5) if j == i or groups[j] != groups[i]]
        own = float(matches[i, i])
        expected += math.log(sum(math.exp(10 * (float(matches[i, j]) - own)) for j in rivals)) / 5
        expected += math.log(sum(math.exp(10 * (float(matches[j, i]) - own)) for j in rivals)) / 5
    assert float(choice_loss(matches, same, 10.0)) == pytest.approx(expected, rel=1e-12)


def test_equal_matches_cost_a_guess():
    assert float(choice_loss(torch.zeros(8, 8), torch.eye(8, dtype=torch.bool), 10.0)) == pytest.approx(2 * math.log(8))
    assert float(choice_loss(torch.zeros(8, 8), torch.ones(8, 8, dtype=torch.bool), 10.0)) == 0


@pytest.mark.parametrize("name", ["gamma1", "gamma2", "gamma3"])
def test_gammas_are_positive(name):
    with pytest.raises(ValueError, match=f"{name} must be above 0, got -1"):
        replace(GAMMAS, **{name: -1.0})
