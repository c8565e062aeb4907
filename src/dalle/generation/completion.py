"""Image-to-image: the top of a picture is given, the rest drawn under a caption (PAPER 7, the paper's Fig. 2d and 14)."""

from collections.abc import Sequence

import numpy as np
import torch

from dalle.data.bpe import CaptionTokenizer
from dalle.data.text_tokens import caption_text_tokens
from dalle.dvae.model import DVAE
from dalle.generation.decoding import decode_codes
from dalle.generation.encoding import encode_images
from dalle.generation.sampling import SampleConfig, sample_candidates
from dalle.prior.kinds import AnyPrior


def complete_images(
    dvae: DVAE,
    prior: AnyPrior,
    tokenizer: CaptionTokenizer,
    images: np.ndarray,
    captions: Sequence[str],
    caption_ids: Sequence[str],
    *,
    rows: int,
    config: SampleConfig,
    seed: int,
    device: str,
) -> np.ndarray:
    """`config.candidates` completions of each picture, uint8 (C, N, H, W, 3), whose top has gone through the dVAE as well.

    `images` uint8 (C, H, W, 3) have the dVAE's size (`evaluation_crop` gives it); caption and id number c belong to image c.
    """
    given = given_tokens(dvae, images, rows=rows, batch_size=config.batch_size, device=device, precision=config.precision)
    candidates = complete_tokens(prior, tokenizer, given, captions, caption_ids, config=config, seed=seed, device=device)
    decoded = decode_codes(dvae, candidates.reshape(-1, candidates.shape[-1]), config.batch_size, device)
    return decoded.reshape(*candidates.shape[:2], *decoded.shape[1:])


def given_tokens(
    dvae: DVAE, images: np.ndarray, *, rows: int, batch_size: int, device: str, precision: str
) -> np.ndarray:
    """The first `rows` rows of each picture's image tokens, uint16 (C, rows * G); the paper gives 15 of 32.

    Codes see beyond their cells, so what lies below is hidden from the encoder first: nothing of it can reach a completion.
    """
    grid_size = dvae.config.grid_size
    check_rows(rows, grid_size)
    hidden = hide_below(images, rows * dvae.config.image_size // grid_size)
    return encode_images(dvae, hidden, batch_size=batch_size, device=device, precision=precision)[:, : rows * grid_size]


def hide_below(images: np.ndarray, row: int) -> np.ndarray:
    """Images (C, H, W, 3) in which the pixels from `row` on repeat the last row above: an edge would be seen by the encoder."""
    hidden = images.copy()
    hidden[:, row:] = images[:, row - 1 : row]
    return hidden


def complete_tokens(
    prior: AnyPrior,
    tokenizer: CaptionTokenizer,
    given: np.ndarray,
    captions: Sequence[str],
    caption_ids: Sequence[str],
    *,
    config: SampleConfig,
    seed: int,
    device: str,
) -> np.ndarray:
    """Image tokens of the completions, uint16 (C, N, G*G), each beginning with its row of `given`, uint16 (C, n).

    Candidate n of a caption depends on seed, caption id, n, caption and what is given, never on what else is drawn.
    """
    length = prior.config.text_length
    text = caption_text_tokens(tokenizer, caption_ids, captions, text_length=length, long_captions=config.long_captions)
    return sample_candidates(
        prior,
        torch.from_numpy(text.text_tokens),
        caption_ids,
        num_candidates=config.candidates,
        temperature=config.temperature,
        top_k=config.top_k,
        top_p=config.top_p,
        seed=seed,
        batch_size=config.batch_size,
        device=device,
        precision=config.precision,
        prefix=torch.from_numpy(given.astype(np.int64)),
    )


def check_rows(rows: int, grid_size: int) -> None:
    """A `ValueError` unless `rows` of a picture's rows of tokens leave something to keep and something to draw."""
    if not 1 <= rows < grid_size:
        raise ValueError(f"rows must be 1 to {grid_size - 1}, of a picture's {grid_size} rows of tokens, got {rows}")
