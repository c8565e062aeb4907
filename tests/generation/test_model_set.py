import shutil

import pytest

from dalle.generation.model_set import load_model_set
from tiny_model_sets import save_all, save_clip, save_dvae, save_prior, save_tokenizer


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    return save_all(tmp_path_factory.mktemp("models"))


@pytest.fixture
def folder(saved, tmp_path):
    return shutil.copytree(saved, tmp_path / "models")


def test_models_of_one_run_are_loaded(folder):
    models = load_model_set(folder)
    assert models.prior.config.text_vocab_size == models.tokenizer.vocab_size == models.clip.config.text_vocab_size
    assert models.dvae.config.grid_size == 4 and not models.prior.training


def test_a_clip_is_not_needed(folder):
    shutil.rmtree(folder / "clip")
    assert load_model_set(folder).clip is None


@pytest.mark.parametrize(
    "save, changes, message",
    [
        (save_tokenizer, {"vocab_size": 220}, "{0}/prior reads a vocabulary of {n} text tokens, {0}/tokenizer has 220: they"),
        (save_prior, {"text_vocab_size": 99}, "{0}/prior reads a vocabulary of 99 text tokens, {0}/tokenizer has {n}: they"),
        (save_clip, {"text_vocab_size": 99}, "{0}/clip reads a vocabulary of 99 text tokens, {0}/tokenizer has {n}: they"),
        (save_dvae, {"codebook_size": 13}, "codebook of 12, {0}/dvae decodes a grid of 4 x 4 with a codebook of 13: they"),
        (save_dvae, {"image_size": 32}, "{0}/dvae decodes a grid of 8 x 8 with a codebook of 12: they are of different runs"),
        (save_prior, {"grid_size": 5}, "{0}/prior draws a grid of 5 x 5 with a codebook of 12, {0}/dvae decodes"),
    ],
)
def test_models_of_different_runs_are_both_named(folder, save, changes, message):
    vocab_size = load_model_set(folder).tokenizer.vocab_size
    save(folder, **changes)
    with pytest.raises(ValueError) as error:
        load_model_set(folder)
    assert message.format(folder, n=vocab_size) in str(error.value) and "do not fit together" in str(error.value)
