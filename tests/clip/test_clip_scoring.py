import numpy as np
import pytest
import torch

from dalle.clip.model import clip_text_tokens
from dalle.clip import scoring


@pytest.fixture
def candidates():
    return np.random.default_rng(0).integers(0, 256, (12, 5, 32, 32, 3), dtype=np.uint8)


def clip_scores(clip, tokenizer, captions, candidates, **settings):
    flat = candidates.reshape(-1, *candidates.shape[2:])
    return scoring.clip_scores(clip, tokenizer, captions, lambda rows: flat[rows], num_candidates=candidates.shape[1], **settings)


def test_scores_are_cosines_of_each_caption_with_its_own_candidates(clip, tokenizer, captions, candidates):
    scores = clip_scores(clip, tokenizer, captions, candidates, batch_size=7)
    assert (scores.shape, scores.dtype) == ((12, 5), np.float32)
    with torch.no_grad():
        for row, candidate in ((0, 0), (3, 4), (11, 2)):
            image = torch.from_numpy(candidates[row, candidate]).permute(2, 0, 1)[None].float() / 127.5 - 1
            text = clip.encode_text(clip_text_tokens(tokenizer, [captions[row]], 24))
            expected = torch.cosine_similarity(clip.encode_image(image), text)
            assert scores[row, candidate] == pytest.approx(float(expected), abs=1e-5)


def test_batches_and_repetition_change_nothing(clip, tokenizer, captions, candidates):
    scores = clip_scores(clip, tokenizer, captions, candidates)
    np.testing.assert_array_equal(scores, clip_scores(clip, tokenizer, captions, candidates))
    np.testing.assert_allclose(scores, clip_scores(clip, tokenizer, captions, candidates, batch_size=1), atol=1e-5)


def test_a_training_model_is_scored_as_an_evaluated_one(clip, tokenizer, captions, candidates):
    expected = clip_scores(clip.eval(), tokenizer, captions, candidates)
    np.testing.assert_array_equal(clip_scores(clip.train(), tokenizer, captions, candidates), expected)


def test_half_precision_agrees_to_its_digits(clip, tokenizer, captions, candidates):
    exact = clip_scores(clip, tokenizer, captions, candidates)
    half = clip_scores(clip, tokenizer, captions, candidates, precision="bf16")
    assert half.dtype == np.float32
    np.testing.assert_allclose(half, exact, atol=0.03)


def test_one_batch_of_pictures_exists_at_a_time(clip, tokenizer, captions, candidates):
    flat, asked = candidates.reshape(-1, 32, 32, 3), []

    def images(rows):
        asked.append((rows.start, rows.stop))
        return flat[rows]

    scoring.clip_scores(clip, tokenizer, captions, images, num_candidates=5, batch_size=25)
    assert asked == [(0, 25), (25, 50), (50, 60)]
