import numpy as np
import pytest
import torch

from dalle.data.bpe import pad_text_tokens, train_tokenizer
from dalle.dvae.model import DVAE, DVAEConfig
from dalle.generation.completion import complete_images, complete_tokens, given_tokens, hide_below
from dalle.generation.decoding import decode_codes
from dalle.generation.encoding import encode_images
from dalle.generation.sampling import SampleConfig, sample_candidates
from dalle.prior.masks import layer_masks
from dalle.prior.model import Prior, PriorConfig, initialise

CAPTIONS = ["the same cat on the top as a sketch on the bottom", "a cat", "upside-down"]
IDS = ["0", "1", "2"]
CONFIG = SampleConfig(
    long_captions="truncate", candidates=2, temperature=1.0, top_k=None, top_p=None, batch_size=4, precision="fp32"
)
ROWS = 2


@pytest.fixture(scope="module")
def tokenizer():
    return train_tokenizer(CAPTIONS, 260)


@pytest.fixture(scope="module")
def prior(tokenizer):
    """4 x 4 tokens of 12, with weights large enough that what is kept changes what is drawn."""
    config = PriorConfig(
        text_vocab_size=tokenizer.vocab_size, text_length=20, codebook_size=12, grid_size=4, layers=5, width=16, heads=2,
        conv_kernel=3, masks=tuple(layer_masks(5)),
    )  # fmt: skip
    prior = Prior(config)
    initialise(prior, torch.Generator().manual_seed(0))
    with torch.no_grad():
        for parameter in prior.parameters():
            if parameter.ndim > 1:
                parameter *= 10
    return prior.eval()


@pytest.fixture(scope="module")
def dvae():
    """16 px a side, 4 x 4 codes out of 12."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        config = {"num_groups": 3, "blocks_per_group": 1, "hidden_width": 8, "codebook_width": 6, "post_gain": 1.0}
        return DVAE(DVAEConfig(image_size=16, codebook_size=12, **config)).eval()


@pytest.fixture
def pictures():
    return np.random.default_rng(0).integers(0, 256, (3, 16, 16, 3), dtype=np.uint8)


def complete(prior, tokenizer, given, captions=CAPTIONS):
    return complete_tokens(prior, tokenizer, given, captions, IDS, config=CONFIG, seed=0, device="cpu")


def given_of(dvae, pictures, rows=ROWS):
    return given_tokens(dvae, pictures, rows=rows, batch_size=2, device="cpu", precision="fp32")


def test_what_is_given_is_kept_and_the_rest_is_drawn_under_the_caption(prior, tokenizer):
    """Token by token what sampling with that prefix gives."""
    given = np.random.default_rng(1).integers(0, 12, (3, 4 * ROWS)).astype(np.uint16)
    completed = complete(prior, tokenizer, given)
    assert (completed[:, :, : 4 * ROWS] == given[:, None]).all()
    text, _ = pad_text_tokens([tokenizer.encode(caption) for caption in CAPTIONS], 20, tokenizer.vocab_size)
    expected = sample_candidates(
        prior, torch.from_numpy(text), IDS, num_candidates=2, temperature=1.0, top_k=None, top_p=None, seed=0, batch_size=64,
        device="cpu", precision="fp32", prefix=torch.from_numpy(given.astype(np.int64)),
    )  # fmt: skip
    np.testing.assert_array_equal(completed, expected)


def test_another_caption_gives_another_bottom(dvae, prior, tokenizer, pictures):
    given = given_of(dvae, pictures)
    first, other = complete(prior, tokenizer, given), complete(prior, tokenizer, given, CAPTIONS[::-1])
    assert (first[0] != other[0]).any() and (first[2] != other[2]).any()
    np.testing.assert_array_equal(first[1], other[1])


def test_pictures_are_encoded_completed_and_decoded(dvae, prior, tokenizer, pictures):
    shared = {"config": CONFIG, "seed": 3, "device": "cpu"}
    completed = complete_images(dvae, prior, tokenizer, pictures, CAPTIONS, IDS, rows=ROWS, **shared)
    assert completed.shape == (3, 2, 16, 16, 3) and completed.dtype == np.uint8
    candidates = complete_tokens(prior, tokenizer, given_of(dvae, pictures), CAPTIONS, IDS, **shared)
    for number in range(2):
        np.testing.assert_array_equal(completed[:, number], decode_codes(dvae, candidates[:, number], 3, "cpu"))


@pytest.mark.parametrize("rows", [1, 2, 3])
def test_nothing_below_the_given_rows_reaches_a_completion(dvae, pictures, rows):
    """Though the encoder's kernels reach across: plain encoding of the same pictures would give other tokens."""
    other_bottom = pictures.copy()
    other_bottom[:, 4 * rows :] = 255 - other_bottom[:, 4 * rows :]
    given = given_of(dvae, pictures, rows)
    assert given.shape == (3, 4 * rows)
    np.testing.assert_array_equal(given, given_of(dvae, other_bottom, rows))
    plain = [encode_images(dvae, images, batch_size=3, device="cpu", precision="fp32") for images in (pictures, other_bottom)]
    assert (plain[0][:, : 4 * rows] != plain[1][:, : 4 * rows]).any()


def test_the_top_itself_is_given_as_it_is(pictures):
    hidden = hide_below(pictures, 5)
    np.testing.assert_array_equal(hidden[:, :5], pictures[:, :5])
    assert (hidden[:, 5:] == pictures[:, 4:5]).all()


@pytest.mark.parametrize("rows", [0, 4, -1])
def test_rows_that_keep_nothing_or_everything_are_refused(dvae, pictures, rows):
    with pytest.raises(ValueError, match=f"rows must be 1 to 3, of a picture's 4 rows of tokens, got {rows}"):
        given_of(dvae, pictures, rows)
