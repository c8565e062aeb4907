from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.nn.functional import pad

from dalle.baselines.damsm.model import (
    TextEncoder,
    TextEncoderConfig,
    caption_word_ids,
    encode_sentences,
    encode_words,
    load_text_encoder,
    save_text_encoder,
)
from dalle.baselines.damsm.words import Vocabulary, build_vocabulary

CAPTIONS = ["a red star above a blue heart", "a star", "two green rings, left of them a yellow heart", "red"]
CONFIG = TextEncoderConfig(embedding_width=12, width=10, dropout=0.5, max_words=9)


@pytest.fixture
def encoder():
    torch.manual_seed(0)
    return TextEncoder(CONFIG, build_vocabulary(CAPTIONS, 1)).eval()


@torch.no_grad()
def one_direction(encoder, vectors, suffix):
    """The recurrence of one direction written out over vectors (T, E): all its outputs (T, D / 2)."""
    matrices = [getattr(encoder.lstm, f"{name}_l0{suffix}") for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")]
    hidden = cell = torch.zeros(encoder.config.width // 2)
    outputs = []
    for vector in vectors:
        gates = matrices[0] @ vector + matrices[2] + matrices[1] @ hidden + matrices[3]
        take, keep, new, show = gates.chunk(4)
        cell = keep.sigmoid() * cell + take.sigmoid() * new.tanh()
        hidden = show.sigmoid() * cell.tanh()
        outputs.append(hidden)
    return torch.stack(outputs)


def test_words_and_sentences_are_those_of_two_recurrences(encoder):
    words, is_word = encode_words(encoder, CAPTIONS)
    sentences = encode_sentences(encoder, CAPTIONS)
    assert (words.shape, sentences.shape, words.dtype, sentences.dtype) == ((4, 10, 9), (4, 10), np.float32, np.float32)
    for row, caption in enumerate(CAPTIONS):
        ids = torch.from_numpy(encoder.vocabulary.encode(caption))
        vectors = encoder.embedding.weight.detach()[ids]
        forth, back = one_direction(encoder, vectors, ""), one_direction(encoder, vectors.flip(0), "_reverse").flip(0)
        expected = torch.cat([forth, back], dim=1).T.numpy()
        assert is_word[row].tolist() == [True] * len(ids) + [False] * (9 - len(ids))
        np.testing.assert_allclose(words[row][:, : len(ids)], expected, atol=1e-6)
        assert (words[row][:, len(ids) :] == 0).all()
        np.testing.assert_allclose(sentences[row], np.concatenate([expected[:5, -1], expected[5:, 0]]), atol=1e-6)


def test_padding_and_company_change_nothing(encoder):
    ids = caption_word_ids(encoder, CAPTIONS)
    with torch.no_grad():
        words, sentences = encoder(ids)
        longer_words, longer_sentences = encoder(pad(ids, (0, 7)))
        alone = [encoder(row[row != 0][None]) for row in ids]
    torch.testing.assert_close(longer_sentences, sentences)
    torch.testing.assert_close(longer_words[..., :9], words)
    torch.testing.assert_close(torch.cat([sentence for _, sentence in alone]), sentences)


def test_any_number_of_captions_is_encoded_as_each_alone(encoder):
    many = [CAPTIONS[number % 4] for number in range(601)]  # several batches
    expected = encode_sentences(encoder, CAPTIONS)
    np.testing.assert_allclose(encode_sentences(encoder, many), expected[np.arange(601) % 4], atol=1e-6)
    np.testing.assert_allclose(encode_words(encoder, many)[0][-1], encode_words(encoder, CAPTIONS)[0][0], atol=1e-6)


def test_a_training_encoder_encodes_as_an_evaluated_one(encoder):
    expected = encode_sentences(encoder, CAPTIONS)
    np.testing.assert_array_equal(encode_sentences(encoder.train(), CAPTIONS), expected)


def test_dropout_spares_half_of_the_embeddings(encoder):
    seen = []
    encoder.dropout.register_forward_hook(lambda module, inputs, output: seen.append((output / inputs[0]).detach()))
    torch.manual_seed(0)
    encoder.train()(caption_word_ids(encoder, CAPTIONS * 20))
    assert set(seen[0].unique().tolist()) == {0.0, 2.0}
    assert float(seen[0].mean()) == pytest.approx(1, abs=0.05)


def test_a_long_caption_is_always_cut_in_the_same_way(encoder):
    long = "a red star above a blue heart left of two green rings and a yellow star"
    ids, again, other = (caption_word_ids(encoder, captions)[-1] for captions in ([long], ["a star", long], [long + " a"]))
    assert torch.equal(ids, again)
    assert (ids != 0).sum() == (other != 0).sum() == 9


def test_captions_must_be_given(encoder):
    with pytest.raises(ValueError, match="no captions to encode"):
        encode_sentences(encoder, [])


def test_comes_back_from_its_folder(encoder, tmp_path):
    save_text_encoder(encoder, tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["config.json", "model.safetensors", "words.json"]
    loaded = load_text_encoder(tmp_path)
    assert (loaded.config, loaded.vocabulary, loaded.training) == (CONFIG, encoder.vocabulary, False)
    np.testing.assert_array_equal(encode_sentences(loaded, CAPTIONS), encode_sentences(encoder, CAPTIONS))


def test_words_that_do_not_fit_the_weights_are_refused(encoder, tmp_path):
    save_text_encoder(encoder, tmp_path)
    build_vocabulary(CAPTIONS[:1], 1).save(tmp_path / "words.json")
    with pytest.raises(ValueError, match=r"model\.safetensors: does not fit"):
        load_text_encoder(tmp_path)


def test_has_the_published_encoders_size():
    """AttnGAN's for MS-COCO, measured: 8.63 million parameters, of which 27,297 words have 300 each."""
    config = TextEncoderConfig(embedding_width=300, width=256, dropout=0.5, max_words=15)
    encoder = TextEncoder(config, Vocabulary(tuple(map(str, range(27297)))))
    assert sum(parameter.numel() for parameter in encoder.parameters()) == pytest.approx(8.63e6, rel=1e-3)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"embedding_width": 0}, "embedding_width must be at least 1, got 0"),
        ({"max_words": 0}, "max_words must be at least 1, got 0"),
        ({"width": 9}, "width must be an even number, half for each direction, got 9"),
        ({"dropout": 1.0}, "dropout must be at least 0 and below 1, got 1.0"),
    ],
)
def test_config_names_the_broken_rule(changes, message):
    with pytest.raises(ValueError, match=message):
        replace(CONFIG, **changes)
