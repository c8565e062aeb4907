from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from dalle.clip.ranking import winners
from dalle.clip.scoring import clip_scores
from dalle.data.bpe import pad_text_tokens
from dalle.generation.decoding import decode_codes
from dalle.generation.model_set import load_model_set
from dalle.generation.sampling import SampleConfig, sample_candidates
from dalle.generation.text_to_image import check_request, choose_best, cut_off, draw_candidates, write_samples
from tiny_model_sets import CLIP_LENGTH, TEXT_LENGTH, save_all

CAPTIONS = ["a red star", "a blue square"]
CONFIG = SampleConfig(
    long_captions="truncate", candidates=6, temperature=0.9, top_k=9, top_p=0.95, batch_size=4, precision="fp32"
)


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    return load_model_set(save_all(tmp_path_factory.mktemp("models")))


def draw(models, captions=CAPTIONS, config=CONFIG, **more):
    return draw_candidates(models, captions, config, seed=5, device="cpu", **more)


def choose(models, candidates, top):
    return choose_best(models, CAPTIONS, candidates, top=top, batch_size=4, device="cpu")


def test_candidates_are_what_the_sample_stage_draws_with_the_caption_as_its_id(models):
    tokens = [models.tokenizer.encode(caption) for caption in CAPTIONS]
    text_tokens, _ = pad_text_tokens(tokens, TEXT_LENGTH, models.tokenizer.vocab_size)
    filters = {"temperature": 0.9, "top_k": 9, "top_p": 0.95}
    shared = {"num_candidates": 6, "seed": 5, "batch_size": 64, "device": "cpu", "precision": "fp32", **filters}
    expected = sample_candidates(models.prior, torch.from_numpy(text_tokens), CAPTIONS, **shared)
    np.testing.assert_array_equal(draw(models), expected)


def test_a_candidate_does_not_depend_on_what_is_drawn_beside_it(models):
    drawn = draw(models)
    np.testing.assert_array_equal(draw(models, CAPTIONS[1:], replace(CONFIG, candidates=2)), drawn[1:, :2])


def test_candidates_begin_with_what_is_given(models):
    given = np.arange(10, dtype=np.uint16).reshape(2, 5)
    drawn = draw(models, given=given)
    assert (drawn[:, :, :5] == given[:, None]).all() and len(np.unique(drawn[0], axis=0)) > 1


def test_the_best_stand_in_the_order_of_their_scores(models):
    candidates = draw(models)
    decoded = decode_codes(models.dvae, candidates.reshape(12, -1), 64, "cpu")
    scores = clip_scores(models.clip, models.tokenizer, CAPTIONS, lambda rows: decoded[rows], num_candidates=6)
    for row, best in enumerate(choose(models, candidates, 3)):
        assert best.caption == CAPTIONS[row] and best.numbers[0] == winners(scores, (6,))[row, 0]
        assert best.scores == sorted(best.scores, reverse=True) and len(best.scores) == 3
        np.testing.assert_allclose(best.scores, np.sort(scores[row])[::-1][:3], atol=1e-6)
        for number, image in zip(best.numbers, best.images, strict=True):
            assert np.abs(image.astype(int) - decoded[6 * row + number]).max() <= 1


def test_equal_scores_go_to_the_lower_number(models):
    candidates = draw(models)
    candidates[:, 1:] = candidates[:, :1]
    assert [best.numbers for best in choose(models, candidates, 4)] == [[0, 1, 2, 3]] * 2


def test_without_a_clip_candidates_stand_as_they_were_drawn(models):
    candidates, blind = draw(models), replace(models, clip=None)
    for best in choose(blind, candidates, 6):
        assert (best.numbers, best.scores, len(best.images)) == (list(range(6)), None, 6)
    with pytest.raises(ValueError, match="no CLIP to choose 5 of 6"):
        choose(blind, candidates, 5)


def test_a_broken_clip_chooses_nothing(models):
    weight = models.clip.visual.proj
    before = weight.detach().clone()
    try:
        with torch.no_grad():
            weight.fill_(float("nan"))
        with pytest.raises(ValueError, match="this CLIP is broken"):
            choose(models, draw(models), 2)
    finally:
        with torch.no_grad():
            weight.copy_(before)


def test_what_a_caption_loses_is_told_for_each_reader(models):
    letters = "".join(chr(ord("a") + number % 26) for number in range(0, 300, 7))  # no merge was learnt for these
    length = len(models.tokenizer.encode(letters))
    assert length > CLIP_LENGTH
    cut = cut_off(models, letters)
    assert list(cut) == ["the prior", "CLIP"] and all(letters.endswith(rest) for rest in cut.values())
    assert len(cut["the prior"]) == length - TEXT_LENGTH and len(cut["CLIP"]) == length - CLIP_LENGTH + 1
    assert list(cut_off(models, letters[: TEXT_LENGTH + 1])) == ["the prior"] and cut_off(models, letters[:TEXT_LENGTH]) == {}
    assert list(cut_off(replace(models, clip=None), letters)) == ["the prior"]


def test_samples_on_disk_are_the_pictures_chosen(models, tmp_path):
    chosen = choose(models, draw(models), 2)
    write_samples(chosen, tmp_path / "samples")
    listed = pd.read_csv(tmp_path / "samples" / "samples.csv")
    assert list(listed) == ["caption_id", "image_id", "caption", "candidate", "file"]
    assert listed["caption"].tolist() == [caption for caption in CAPTIONS for _ in range(2)]
    assert listed["candidate"].tolist() == [number for best in chosen for number in best.numbers]
    for row, image in zip(listed.itertuples(), np.concatenate([best.images for best in chosen]), strict=True):
        assert row.file == f"images/{row.caption_id}-{row.candidate}.png"
        np.testing.assert_array_equal(np.asarray(Image.open(tmp_path / "samples" / row.file)), image)


@pytest.mark.parametrize(
    "captions, candidates, top, message",
    [
        (["a", " \n"], 4, 1, "caption 2 is empty"),
        (["a", "b", "a"], 4, 1, "caption 'a' is given twice"),
        (["a"], 4, 0, "top must be 1 to 4, the number of candidates, got 0"),
        (["a"], 4, 5, "top must be 1 to 4, the number of candidates, got 5"),
    ],
)
def test_requests_for_which_nothing_can_be_drawn(captions, candidates, top, message):
    with pytest.raises(ValueError, match=message):
        check_request(captions, candidates=candidates, top=top)
