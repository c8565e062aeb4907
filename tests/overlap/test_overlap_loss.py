import math

import pytest
import torch

from dalle.overlap.loss import info_nce


def unit(*degrees):
    angles = torch.tensor(degrees, dtype=torch.float64).deg2rad()
    return torch.stack([angles.cos(), angles.sin()], dim=1)


def test_two_pictures_by_hand():
    """Views at 0 and 90 degrees, copies at 60 and 90: cosines 1/2, 0, 0, 1 and sqrt(3)/2 of their own and of others."""
    originals, copies, temperature = unit(0, 90), unit(60, 90), 0.5
    c = math.sqrt(3) / 2

    def term(own, *wrong):
        return -math.log(math.exp(own / 0.5) / sum(math.exp(value / 0.5) for value in (own, *wrong)))

    expected = (term(0.5, 0, 0) + term(1, 0, c) + term(0.5, c, c) + term(1, 0, c)) / 4
    assert float(info_nce(originals, copies, temperature, torch.eye(2, dtype=torch.bool))) == pytest.approx(expected, rel=1e-12)


def test_a_picture_that_is_twice_in_a_batch_is_no_wrong_answer():
    """Its row against the same batch without the repetition: the same denominator."""
    torch.manual_seed(0)
    views = torch.nn.functional.normalize(torch.randn(2, 3, 5, dtype=torch.float64), dim=-1)
    same = torch.tensor([[True, False, True], [False, True, False], [True, False, True]])
    logits = torch.cat([views[0], views[1]])
    expected = []
    for row in range(6):
        keep = [column for column in range(6) if column == (row + 3) % 6 or not same[row % 3, column % 3]]
        scores = logits[row] @ logits[keep].T / 0.1
        expected.append(-scores.log_softmax(0)[keep.index((row + 3) % 6)])
    assert float(info_nce(views[0], views[1], 0.1, same)) == pytest.approx(float(sum(expected)) / 6, rel=1e-12)


def test_bf16_does_not_reach_the_cosines():
    views = torch.nn.functional.normalize(torch.randn(2, 8, 32), dim=-1)
    plain = info_nce(*views, 0.07, torch.eye(8, dtype=torch.bool))
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(info_nce(*views, 0.07, torch.eye(8, dtype=torch.bool)), plain)
