import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dalle.data.bpe import MIN_VOCAB_SIZE, CaptionTokenizer, pad_text_tokens, train_tokenizer

CAPTIONS = [
    "A small red circle above a large blue square.",
    "the red circles, and the bluest squares",
    "Large green star; smaller greenish stars (2 of 3)",
    "This bird has a reddish crown, a white belly & a short bill",
    "birds, birding, birdhouse: été à la plage, 24/7",
] * 3
TOKENIZER = train_tokenizer(CAPTIONS, 400)
# words of the corpus, near misses, repeated letters, and anything at all
TEXT = st.lists(
    st.one_of(
        st.sampled_from(" ".join(CAPTIONS).split()),
        st.text("abcdeilrs", max_size=12),
        st.text(st.characters(exclude_categories=["Cs"]), max_size=8),
    ),
    max_size=8,
).map(" ".join)


def library_encode(caption: str) -> list[int]:
    return TOKENIZER._tokenizer.encode(caption.lower()).ids


def slow_dropout(piece: str, dropout: float, rng) -> tuple[str, ...]:
    """Provilkov et al. 2020, Algorithm 1, word for word: list the merges, drop some, apply the best, repeat."""
    ranks = {pair: rank for rank, (pair, _) in enumerate(sorted(TOKENIZER._merges.items(), key=lambda item: item[1][0]))}
    tokens = [TOKENIZER.encode(letter)[0] for letter in piece]
    while True:
        merges = [(ranks[pair], place) for place, pair in enumerate(zip(tokens, tokens[1:], strict=False)) if pair in ranks]
        merges = [merge for merge in merges if rng.random() >= dropout]
        if not merges:
            return tuple(TOKENIZER.decode([token]) for token in tokens)
        _, place = min(merges)
        tokens[place : place + 2] = [TOKENIZER._merges[tokens[place], tokens[place + 1]][1]]


@settings(max_examples=300, deadline=None)
@given(TEXT)
def test_encoding_equals_the_library_and_decodes_to_lower_case(caption):
    tokens = TOKENIZER.encode(caption)
    assert tokens == library_encode(caption)
    assert tokens == TOKENIZER.encode_with_dropout(caption, 0.0, np.random.default_rng(0))
    assert TOKENIZER.decode(tokens) == caption.lower()
    assert all(0 <= token < TOKENIZER.vocab_size for token in tokens)


@settings(max_examples=100, deadline=None)
@given(TEXT, st.floats(0, 1), st.integers(0, 2**32))
def test_dropout_loses_nothing_and_depends_on_the_generator_alone(caption, dropout, seed):
    tokens = TOKENIZER.encode_with_dropout(caption, dropout, np.random.default_rng(seed))
    assert tokens == TOKENIZER.encode_with_dropout(caption, dropout, np.random.default_rng(seed))
    assert TOKENIZER.decode(tokens) == caption.lower()
    assert len(tokens) >= len(TOKENIZER.encode(caption))


@given(TEXT)
def test_full_dropout_leaves_single_bytes(caption):
    tokens = TOKENIZER.encode_with_dropout(caption, 1.0, np.random.default_rng(0))
    assert len(tokens) == len(caption.lower().encode())


def test_dropout_has_the_distribution_of_the_algorithm():
    num_draws, dropout = 6000, 0.3
    ours, theirs = {}, {}
    rng, slow_rng = np.random.default_rng(1), np.random.default_rng(2)
    for _ in range(num_draws):
        ids = TOKENIZER.encode_with_dropout("circles", dropout, rng)
        key = tuple(TOKENIZER.decode([token]) for token in ids)
        ours[key] = ours.get(key, 0) + 1
        key = slow_dropout("circles", dropout, slow_rng)
        theirs[key] = theirs.get(key, 0) + 1
    assert len(ours) > 5
    for key in ours.keys() | theirs.keys():
        first, second = ours.get(key, 0), theirs.get(key, 0)
        # five standard deviations of a difference of two counts
        assert abs(first - second) <= 5 * np.sqrt(first + second + 1), key


def test_only_letters_are_ever_merged():
    for token in range(TOKENIZER.vocab_size):
        text = TOKENIZER._token_bytes[token]
        assert len(text) == 1 or (text.isalpha() and text.isascii() and text.islower())
    pieces = [TOKENIZER.decode([token]) for token in TOKENIZER.encode("Red  circle, 24/7!")]
    assert pieces == ["red", " ", " ", "circle", ",", " ", "2", "4", "/", "7", "!"]
    # each byte of a character outside ASCII stands alone, though the corpus repeats it
    assert len(TOKENIZER.encode("été")) == 5


def test_training_does_not_depend_on_order_or_process(tmp_path):
    TOKENIZER.save(tmp_path / "here")
    train_tokenizer(CAPTIONS[::-1], 400).save(tmp_path / "reversed")
    script = (
        "import sys; from dalle.data.bpe import train_tokenizer; captions = eval(sys.stdin.read()); "
        f"train_tokenizer(captions, 400).save({str(tmp_path / 'elsewhere')!r})"
    )
    environment = {"PYTHONPATH": ":".join(sys.path)}
    subprocess.run([sys.executable, "-c", script], input=repr(CAPTIONS), text=True, check=True, env=environment)
    first = (tmp_path / "here" / "tokenizer.json").read_bytes()
    assert first == (tmp_path / "reversed" / "tokenizer.json").read_bytes()
    assert first == (tmp_path / "elsewhere" / "tokenizer.json").read_bytes()


def test_saving_and_loading(tmp_path):
    TOKENIZER.save(tmp_path / "tokenizer")
    again = CaptionTokenizer.load(tmp_path / "tokenizer")
    assert again.vocab_size == TOKENIZER.vocab_size
    assert [again.encode(caption) for caption in CAPTIONS] == [TOKENIZER.encode(caption) for caption in CAPTIONS]
    with pytest.raises(ValueError, match="nowhere/tokenizer.json: missing"):
        CaptionTokenizer.load(tmp_path / "nowhere")
    (tmp_path / "tokenizer" / "tokenizer.json").write_text("{}")
    with pytest.raises(ValueError, match="tokenizer.json: not a tokenizer"):
        CaptionTokenizer.load(tmp_path / "tokenizer")


def test_vocabulary_size_is_the_real_one():
    assert train_tokenizer(CAPTIONS, 260).vocab_size == 260
    few = train_tokenizer(["ab ab"], 16384)
    assert few.vocab_size == MIN_VOCAB_SIZE + 1
    assert few.encode("AB") == [few.vocab_size - 1]
    with pytest.raises(ValueError, match=f"vocab_size must be at least {MIN_VOCAB_SIZE}"):
        train_tokenizer(CAPTIONS, 100)


def test_a_word_of_20000_letters_takes_no_time():
    caption = "redcircle" * 2300
    assert TOKENIZER.encode(caption) == library_encode(caption)
    assert TOKENIZER.decode(TOKENIZER.encode_with_dropout(caption, 0.5, np.random.default_rng(0))) == caption


def test_lone_surrogates_do_not_stop_the_work():
    assert TOKENIZER.decode(TOKENIZER.encode("a\ud800b")) == "a?b"


def test_padding_is_another_token_at_every_position():
    text_tokens, num_truncated = pad_text_tokens([[5, 6], [], [1, 2, 3, 4, 5], [7, 8, 9, 10]], 4, 100)
    assert text_tokens.dtype == np.int64
    assert text_tokens.tolist() == [[5, 6, 102, 103], [100, 101, 102, 103], [1, 2, 3, 4], [7, 8, 9, 10]]
    assert num_truncated == 1
    padded = pad_text_tokens([TOKENIZER.encode("red")], 8, TOKENIZER.vocab_size)[0][0]
    assert TOKENIZER.decode(padded) == "red"


def test_a_dropout_that_is_no_probability_is_refused():
    with pytest.raises(ValueError, match="dropout must be from 0 to 1"):
        TOKENIZER.encode_with_dropout("a", 1.5, np.random.default_rng(0))


JOINED = train_tokenizer(CAPTIONS, 400, "joined")


@given(TEXT)
def test_joined_spaces_lose_nothing_and_match_the_library(caption):
    ids = JOINED.encode(caption)
    assert JOINED.decode(ids) == caption.lower().encode("utf-8", "replace").decode("utf-8", "replace")
    assert ids == JOINED._tokenizer.encode(caption.lower()).ids


def test_joined_spaces_need_fewer_tokens_and_survive_saving(tmp_path):
    words = "a small red circle above a large blue square"
    assert len(JOINED.encode(words)) <= len(TOKENIZER.encode(words)) - 6
    JOINED.save(tmp_path)
    assert CaptionTokenizer.load(tmp_path).encode(words) == JOINED.encode(words)
