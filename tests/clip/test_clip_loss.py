import math

import open_clip
import pytest
import torch
from torch.nn.functional import normalize

from dalle.clip.loss import contrastive_loss


@pytest.fixture
def embeddings():
    generator = torch.Generator().manual_seed(0)
    return [normalize(torch.randn(7, 5, generator=generator, dtype=torch.float64), dim=-1) for _ in range(2)]


def test_equals_open_clips_where_captions_differ(embeddings):
    scale = torch.tensor(11.0, dtype=torch.float64)
    ours = contrastive_loss(*embeddings, scale, torch.eye(7, dtype=torch.bool))
    torch.testing.assert_close(ours, open_clip.ClipLoss()(*embeddings, scale))


def test_the_other_image_of_an_equal_caption_is_no_negative(embeddings):
    images, texts = embeddings
    groups = torch.tensor([0, 1, 0, 2, 3, 1, 0])
    same = groups[:, None] == groups
    terms = []
    for i in range(7):
        rivals = [j for j in range(7) if j == i or groups[j] != groups[i]]
        for own, others in ((images[i], texts), (texts[i], images)):
            logits = [4.0 * float(own @ others[j]) for j in rivals]
            terms.append(math.log(sum(map(math.exp, logits))) - 4.0 * float(images[i] @ texts[i]))
    assert float(contrastive_loss(images, texts, torch.tensor(4.0), same)) == pytest.approx(sum(terms) / 14, rel=1e-12)


def test_a_batch_of_one_caption_has_nothing_to_learn(embeddings):
    images = embeddings[0].requires_grad_()
    loss = contrastive_loss(images, embeddings[1], torch.tensor(4.0), torch.ones(7, 7, dtype=torch.bool))
    loss.backward()
    assert float(loss.detach()) == pytest.approx(0, abs=1e-12)
    assert torch.isfinite(images.grad).all()


def test_own_negatives_are_more_columns_of_the_softmax(embeddings):
    images, texts = embeddings
    generator = torch.Generator().manual_seed(1)
    wrong_texts = normalize(torch.randn(7, 5, generator=generator, dtype=torch.float64), dim=-1)
    wrong_images = normalize(torch.randn(3, 2, 5, generator=generator, dtype=torch.float64), dim=-1)
    has_text = torch.tensor([True, False, True, True, False, True, True])
    terms = []
    for i in range(7):
        to_text = [4.0 * float(images[i] @ texts[j]) for j in range(7)]
        to_text += [4.0 * float(images[i] @ wrong_texts[i])] if has_text[i] else []
        to_image = [4.0 * float(texts[i] @ images[j]) for j in range(7)]
        to_image += [4.0 * float(texts[i] @ wrong) for wrong in wrong_images[i - 4]] if i >= 4 else []
        own = 4.0 * float(images[i] @ texts[i])
        terms += [math.log(sum(map(math.exp, logits))) - own for logits in (to_text, to_image)]
    loss = contrastive_loss(
        images,
        texts,
        torch.tensor(4.0),
        torch.eye(7, dtype=torch.bool),
        negative_images=wrong_images,
        negative_text=wrong_texts,
        has_negative_text=has_text,
    )
    assert float(loss) == pytest.approx(sum(terms) / 14, rel=1e-6)


def test_logits_stay_in_float32_under_autocast(embeddings):
    images, texts = (part.float() for part in embeddings)
    scale, same = torch.tensor(100.0), torch.eye(7, dtype=torch.bool)
    exact = contrastive_loss(images, texts, scale, same)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(contrastive_loss(images, texts, scale, same), exact)
