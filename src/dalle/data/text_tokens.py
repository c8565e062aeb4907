"""Captions as the text tokens a prior reads: too long ones cut or refused, empty ones refused, by name."""

from collections.abc import Sequence
from typing import Literal, NamedTuple

import numpy as np

from dalle.data.bpe import CaptionTokenizer, pad_text_tokens

LongCaptions = Literal["truncate", "refuse"]
NUM_NAMED = 3  # captions that a message names


class TextTokens(NamedTuple):
    """`text_tokens` int64 (N, T), how many captions lost their end, and that in words ("" where none did)."""

    text_tokens: np.ndarray
    num_truncated: int
    warning: str


def caption_text_tokens(
    tokenizer: CaptionTokenizer,
    caption_ids: Sequence[str],
    captions: Sequence[str],
    *,
    text_length: int,
    long_captions: LongCaptions,
) -> TextTokens:
    """The captions in T = `text_length` tokens each; a `ValueError` names those that are empty, or too long where refused."""
    refuse_empty(caption_ids, captions)
    token_lists = [tokenizer.encode(caption) for caption in captions]
    lengths = zip(caption_ids, map(len, token_lists), strict=True)
    too_long = [f"{name!r} has {length}" for name, length in lengths if length > text_length]
    described = f"{len(too_long)} of {len(captions)} captions are longer than the prior's {text_length} text tokens"
    described += f" ({_first_few(too_long)})"
    if too_long and long_captions == "refuse":
        raise ValueError(f"{described}: shorten them, or let long_captions truncate")
    text_tokens, num_truncated = pad_text_tokens(token_lists, text_length, tokenizer.vocab_size)
    return TextTokens(text_tokens, num_truncated, f"{described}: their ends are cut off" if too_long else "")


def refuse_empty(caption_ids: Sequence[str], captions: Sequence[str]) -> None:
    """A `ValueError` that names captions without any text."""
    empty = [repr(name) for name, caption in zip(caption_ids, captions, strict=True) if not caption.strip()]
    if empty:
        found = f"{len(empty)} of {len(captions)} captions have no text ({_first_few(empty)})"
        raise ValueError(f"{found}: write one, or leave them out")


def _first_few(names: Sequence[str]) -> str:
    return ", ".join([*names[:NUM_NAMED], *(["..."] if len(names) > NUM_NAMED else [])])
