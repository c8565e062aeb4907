import json

import numpy as np
import pytest

from dalle.baselines.damsm.words import END, UNKNOWN, Vocabulary, build_vocabulary, padded, shortened, words_of


@pytest.mark.parametrize(
    ("caption", "words"),
    [
        ("A Red  heart, left of it: 2 stars.", ["a", "red", "heart", "left", "of", "it", "2", "stars"]),
        ("a bird's long-tailed friend_x\n", ["a", "bird", "s", "long", "tailed", "friend_x"]),
        ("Café naïve 東京 été", ["caf", "nave", "t"]),  # of a word outside ASCII what is left stays
        ("broken \ufffd\ufffdtext", ["broken", "text"]),
        ("\u2014 !? 東京", []),
    ],
)
def test_words_are_ascii_runs_in_lower_case(caption, words):
    assert words_of(caption) == words


def test_ids_go_by_frequency_then_the_alphabet_and_rare_words_are_unknown():
    captions = ["a red star", "A blue star", "a red heart", "one blue"]
    vocabulary = build_vocabulary(captions, 2)
    assert vocabulary.words == ("<end>", "<unknown>", "a", "blue", "red", "star")
    assert vocabulary == build_vocabulary(captions[::-1], 2)
    assert vocabulary.encode("A star, one red HEART").tolist() == [2, 5, UNKNOWN, 4, UNKNOWN]
    assert build_vocabulary(captions, 1).words[-2:] == ("heart", "one")


def test_a_caption_without_words_is_one_unknown():
    vocabulary = build_vocabulary(["a star"], 1)
    assert vocabulary.encode("...").tolist() == vocabulary.encode("").tolist() == [UNKNOWN]
    assert vocabulary.encode("<end> <unknown>").tolist() == [UNKNOWN, UNKNOWN]  # a caption cannot write the marks


def test_comes_back_from_a_file_that_people_can_read(tmp_path):
    vocabulary = build_vocabulary(["a red star"], 1)
    vocabulary.save(tmp_path / "words.json")
    lines = (tmp_path / "words.json").read_text().splitlines()
    assert lines == ["[", '"<end>",', '"<unknown>",', '"a",', '"red",', '"star"', "]"]
    assert Vocabulary.load(tmp_path / "words.json") == vocabulary


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("[", "not valid JSON"),
        ('{"a": 1}', "must be a list of words"),
        ('["<end>", "<unknown>", 3]', "must be a list of words"),
        ('["a", "<end>", "<unknown>"]', "must begin with <end>, <unknown>"),
        ('["<end>", "<unknown>", "a", "a"]', "name no word twice"),
        (None, "cannot be read: No such file"),
    ],
)
def test_a_damaged_file_is_named(text, rule, tmp_path):
    path = tmp_path / "words.json"
    if text is not None:
        path.write_text(text)
    with pytest.raises(ValueError, match=rf"words\.json: .*{rule}"):
        Vocabulary.load(path)


def test_a_long_caption_loses_any_of_its_words_and_keeps_their_order():
    ids = np.arange(10, 19)
    assert shortened(ids, 9, np.random.default_rng(0)) is ids
    draws = np.array([shortened(ids, 6, np.random.default_rng(seed)) for seed in range(600)])
    assert draws.shape == (600, 6)
    assert (np.diff(draws) > 0).all()
    shares = [(draws == word).any(axis=1).mean() for word in ids]
    np.testing.assert_allclose(shares, 6 / 9, atol=0.08)  # four standard deviations


def test_rows_are_filled_with_the_end():
    assert padded([np.array([5, 3]), np.array([4])], 3).tolist() == [[5, 3, END], [4, END, END]]


def test_the_file_holds_nothing_but_ascii(tmp_path):
    build_vocabulary(["naïve 東京 star"], 1).save(tmp_path / "words.json")
    assert json.loads((tmp_path / "words.json").read_bytes().decode("ascii"))[2:] == ["nave", "star"]
