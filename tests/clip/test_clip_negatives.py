"""Captions wrong by one word: kinds of words as a corpus shows them, and what is made of a caption."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dalle.clip.negatives import WordNegatives, similar_words

COLOURS = ("red", "green", "blue", "pink", "grey", "gold")
SHAPES = ("star", "heart", "ring", "cross", "moon", "cube")


@pytest.fixture(scope="module")
def corpus():
    pairs = [(colour, shape) for colour in COLOURS for shape in SHAPES]
    return [f"the {c} {s} near one {d} {t}" for c, s in pairs for d, t in pairs]


def test_words_of_one_kind_are_found_by_their_neighbours(corpus):
    similar = similar_words(corpus)
    for kind in (COLOURS, SHAPES):
        for word in kind:
            assert set(similar[word]) == set(kind) - {word}
    assert "the" not in similar  # it is in every caption


def test_the_order_of_the_captions_does_not_matter(corpus):
    shuffled = [corpus[index] for index in np.random.default_rng(0).permutation(len(corpus))]
    assert similar_words(shuffled) == similar_words(corpus)


def test_rare_words_and_empty_corpora_take_no_part():
    assert similar_words([]) == {}
    assert similar_words(["one red star"] * 3) == {}


def test_a_negative_differs_by_a_swap_or_by_one_word(corpus):
    words = WordNegatives(corpus)
    swapped = replaced = 0
    for seed, caption in enumerate(corpus):
        negative = words.negative(caption, np.random.default_rng(seed))
        before, after = caption.split(), negative.split()
        changed = [index for index in range(len(before)) if before[index] != after[index]]
        if len(changed) == 2:
            first, second = changed
            assert (before[first], before[second]) == (after[second], after[first])
            swapped += 1
        else:
            (place,) = changed
            kind = COLOURS if before[place] in COLOURS else SHAPES
            assert after[place] in kind
            replaced += 1
    assert swapped > 50 and replaced > 50


def test_a_caption_without_known_words_has_no_negative(corpus):
    assert WordNegatives(corpus).negative("zwei Hunde", np.random.default_rng(0)) is None


@settings(max_examples=60, deadline=None)
@given(st.text(max_size=60), st.integers(0, 1000))
def test_any_text_survives(text, seed):
    words = WordNegatives([f"the {c} {s}" for c in COLOURS for s in SHAPES] * 3)
    negative = words.negative(text + " red star", np.random.default_rng(seed))
    assert negative is not None and negative != text + " red star"
