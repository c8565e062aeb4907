import math

import pytest
import torch

from dalle.prior.loss import counted_text, prior_losses
from tiny_priors import random_tokens, tiny_prior


def captions_of(lengths, vocab_size, text_length):
    """Text tokens of captions with these lengths, every position without a token holding its own padding id."""
    return torch.tensor([[1 if i < length else vocab_size + i for i in range(text_length)] for length in lengths])


def nats(logits, target):
    return math.log(sum(math.exp(value) for value in logits.tolist())) - logits[target].item()


def test_counted_are_the_caption_and_its_first_padding():
    text = captions_of([0, 2, 4, 5], 11, 5)
    assert counted_text(text, 11, loss_on_padding=False).sum(1).tolist() == [1, 3, 5, 5]
    assert counted_text(text, 11, loss_on_padding=False)[1].tolist() == [True, True, True, False, False]
    assert counted_text(text, 11, loss_on_padding=True).all()


@pytest.mark.parametrize("loss_on_padding, counted", [(False, [3, 5]), (True, [5, 5])])
def test_each_loss_is_a_mean_over_its_own_tokens(loss_on_padding, counted):
    prior = tiny_prior()
    _, image = random_tokens(prior.config, 2)
    text = captions_of([2, 5], 11, 5)
    text_logits, image_logits = prior(text, image)
    text_nats = [nats(text_logits[b, i], text[b, i]) for b in range(2) for i in range(counted[b])]
    image_nats = [nats(image_logits[b, i], image[b, i]) for b in range(2) for i in range(9)]
    losses = prior_losses(prior, text, image, loss_on_padding=loss_on_padding)
    assert losses.text.item() == pytest.approx(sum(text_nats) / sum(counted), rel=1e-5)
    assert losses.image.item() == pytest.approx(sum(image_nats) / 18, rel=1e-5)
    assert (losses.num_text, losses.num_image) == (sum(counted), 18)
    assert losses.total(7 / 8).item() == pytest.approx(losses.text.item() / 8 + 7 * losses.image.item() / 8)


def test_every_image_token_trains_the_image_head_alone():
    """The first image token too is scored with image logits (a published reproduction scores it with text logits)."""
    prior = tiny_prior()
    text, image = random_tokens(prior.config, 1)
    image = torch.full_like(image, 0)
    image[0, 0] = 12
    prior_losses(prior, text, image, loss_on_padding=True).image.backward()
    assert prior.text_head.weight.grad is None
    # minus probability mass everywhere, one target added: only targets get a negative bias gradient
    assert (prior.image_head.bias.grad < 0).nonzero().flatten().tolist() == [0, 12]
    assert prior.start_of_image.grad.abs().sum() > 0
