"""Words and sentences by a bidirectional LSTM, regions and pictures by two linear maps: what the DAMSM brings together."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from dalle.baselines.damsm.words import END, Vocabulary, padded, shortened
from dalle.randomness import numpy_generator
from dalle.training.model_folder import load_model, save_model

BATCH = 256  # captions encoded at a time
INIT = 0.1  # embeddings and linear maps begin uniform in [-INIT, INIT], as in AttnGAN


@dataclass(frozen=True, kw_only=True)
class TextEncoderConfig:
    """`width` numbers for a word and for a sentence, half from either direction; captions are cut to `max_words`."""

    embedding_width: int
    width: int
    dropout: float
    max_words: int

    def __post_init__(self) -> None:
        for name in ("embedding_width", "max_words"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")
        if self.width < 2 or self.width % 2:
            raise ValueError(f"width must be an even number, half for each direction, got {self.width}")
        if not 0 <= self.dropout < 1:
            raise ValueError(f"dropout must be at least 0 and below 1, got {self.dropout}")


class TextEncoder(nn.Module):
    """Word ids (B, T) -> words (B, D, T), the LSTM's outputs, zero in the padding; sentences (B, D), its last states."""

    def __init__(self, config: TextEncoderConfig, vocabulary: Vocabulary) -> None:
        super().__init__()
        self.config, self.vocabulary = config, vocabulary
        self.embedding = nn.Embedding(len(vocabulary), config.embedding_width)
        self.dropout = nn.Dropout(config.dropout)
        self.lstm = nn.LSTM(config.embedding_width, config.width // 2, batch_first=True, bidirectional=True)
        nn.init.uniform_(self.embedding.weight, -INIT, INIT)

    def forward(self, word_ids: Tensor) -> tuple[Tensor, Tensor]:
        lengths = (word_ids != END).sum(dim=1).cpu()
        # packed, each direction begins at a caption's own first or last word, whatever the batch is padded to
        packed = pack_padded_sequence(self.dropout(self.embedding(word_ids)), lengths, batch_first=True, enforce_sorted=False)
        outputs, (states, _) = self.lstm(packed)
        words, _ = pad_packed_sequence(outputs, batch_first=True, total_length=word_ids.shape[1])
        return words.mT, torch.cat([states[0], states[1]], dim=1)


class ImageEncoder(nn.Module):
    """Regions (B, R, C) -> (B, D, R), by AttnGAN's 1 x 1 convolution, and pictures (B, C') -> (B, D), of a frozen network."""

    def __init__(self, region_width: int, whole_width: int, width: int) -> None:
        super().__init__()
        self.regions = nn.Linear(region_width, width, bias=False)
        self.whole = nn.Linear(whole_width, width)
        for linear in (self.regions, self.whole):
            nn.init.uniform_(linear.weight, -INIT, INIT)

    def forward(self, regions: Tensor, whole: Tensor) -> tuple[Tensor, Tensor]:
        return self.regions(regions).mT, self.whole(whole)


class Damsm(nn.Module):
    """Both encoders as one model: what is trained together, though the text encoder alone is kept."""

    def __init__(self, text: TextEncoder, image: ImageEncoder) -> None:
        super().__init__()
        self.text, self.image = text, image


def save_text_encoder(encoder: TextEncoder, folder: Path) -> None:
    """A model folder and its `words.json`."""
    save_model(encoder, encoder.config, folder)
    encoder.vocabulary.save(folder / "words.json")


def load_text_encoder(folder: Path) -> TextEncoder:
    """Read what `save_text_encoder` wrote; files that are missing or do not fit each other are a `ValueError` naming one."""
    vocabulary = Vocabulary.load(folder / "words.json")
    return load_model(partial(TextEncoder, vocabulary=vocabulary), TextEncoderConfig, folder)


def encode_sentences(encoder: TextEncoder, captions: Sequence[str]) -> np.ndarray:
    """One vector a caption, (C, D) float32, by the encoder in evaluation mode."""
    return np.concatenate([sentences.cpu().numpy() for _, _, sentences in _encoded(encoder, captions)])


def encode_words(encoder: TextEncoder, captions: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """One vector a word, (C, D, max_words) float32, zero after the last; and which are words, (C, max_words) bool."""
    word_ids, words, _ = zip(*_encoded(encoder, captions), strict=True)
    return np.concatenate([part.cpu().numpy() for part in words]), np.concatenate([part.numpy() != END for part in word_ids])


@torch.no_grad()
def _encoded(encoder: TextEncoder, captions: Sequence[str]) -> list[tuple[Tensor, Tensor, Tensor]]:
    """Word ids, words and sentences, batch by batch."""
    if not len(captions):
        raise ValueError("there are no captions to encode")
    encoder.eval()
    word_ids = caption_word_ids(encoder, captions).split(BATCH)
    return [(ids, *encoder(ids.to(encoder.embedding.weight.device))) for ids in word_ids]


def caption_word_ids(encoder: TextEncoder, captions: Sequence[str]) -> Tensor:
    """Word ids (C, max_words) int64; which words a long caption loses depends on the caption alone."""
    longest = encoder.config.max_words
    rows = [shortened(encoder.vocabulary.encode(text), longest, numpy_generator("words", text)) for text in captions]
    return padded(rows, longest)
