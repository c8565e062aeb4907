import numpy as np
import pytest

from dalle.data.bpe import pad_text_tokens
from dalle.data.text_tokens import caption_text_tokens


class Letters:
    """Every letter is a token."""

    vocab_size = 26

    def encode(self, caption):
        return [ord(letter) - ord("a") for letter in caption]


def tokens(captions, ids=None, *, text_length=4, long_captions="truncate"):
    ids = ids or [f"id-{index}" for index in range(len(captions))]
    return caption_text_tokens(Letters(), ids, captions, text_length=text_length, long_captions=long_captions)


@pytest.mark.parametrize("long_captions", ["truncate", "refuse"])
def test_captions_that_fit_are_padded_in_silence(long_captions):
    found = tokens(["abcd", "a"], long_captions=long_captions)
    np.testing.assert_array_equal(found.text_tokens, pad_text_tokens([[0, 1, 2, 3], [0]], 4, 26)[0])
    assert (found.num_truncated, found.warning) == (0, "")


def test_long_captions_are_cut_counted_and_named():
    found = tokens(["abcde", "ab", "abcdef"])
    np.testing.assert_array_equal(found.text_tokens, [[0, 1, 2, 3], [0, 1, 28, 29], [0, 1, 2, 3]])
    assert found.num_truncated == 2
    assert found.warning == (
        "2 of 3 captions are longer than the prior's 4 text tokens ('id-0' has 5, 'id-2' has 6): their ends are cut off"
    )


def test_long_captions_are_refused_by_name():
    message = (
        r"^5 of 6 captions are longer than the prior's 4 text tokens \('id-0' has 5, 'id-2' has 6, 'id-3' has 7, ...\): "
        r"shorten them, or let long_captions truncate$"
    )
    with pytest.raises(ValueError, match=message):
        tokens(["abcde", "ab", "abcdef", "abcdefg", "abcde", "abcde"], long_captions="refuse")


@pytest.mark.parametrize("long_captions", ["truncate", "refuse"])
@pytest.mark.parametrize("empty", ["", "  ", "\t\n", "\u3000"])
def test_a_caption_without_text_is_named(empty, long_captions):
    with pytest.raises(ValueError, match=r"1 of 2 captions have no text \('owl'\): write one, or leave them out"):
        tokens(["abc", empty], ["sunset", "owl"], long_captions=long_captions)
