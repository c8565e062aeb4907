"""Drawing image tokens for captions from a prior, each candidate a function of (seed, caption, candidate) alone (PAPER 5)."""

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from dalle.data.text_tokens import LongCaptions
from dalle.generation.categorical import draw_indices
from dalle.prior.kinds import AnyPrior, SamplingCache
from dalle.progress import track
from dalle.randomness import numpy_generator
from dalle.training.precision import Precision, autocast


@dataclass(frozen=True, kw_only=True)
class SampleConfig:
    """The `sample` section: the paper draws 512 candidates at temperature 1, with neither top-k nor top-p.

    Captions longer than the prior's text are cut (`truncate`) or an error (`refuse`). `batch_size` candidates are decoded at
    once; in fp32 it changes nothing but speed and memory.
    """

    long_captions: LongCaptions
    candidates: int
    temperature: float
    top_k: int | None
    top_p: float | None
    batch_size: int
    precision: Precision

    def __post_init__(self) -> None:
        for name in ("candidates", "batch_size"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")
        check_filters(self.temperature, self.top_k, self.top_p)


def sample_candidates(
    prior: AnyPrior,
    text_tokens: Tensor,
    caption_ids: Sequence[str],
    *,
    num_candidates: int,
    temperature: float,
    top_k: int | None,
    top_p: float | None,
    seed: int,
    batch_size: int,
    device: str,
    precision: Precision = "bf16",
    prefix: Tensor | None = None,
    work_folder: Path | None = None,
) -> np.ndarray:
    """Image tokens of `num_candidates` images for each caption, uint16 (C, N, G*G); `prior` is moved to `device`.

    `text_tokens` is (C, T). Candidate n of a caption depends on seed, caption id, n and text, never on what else is drawn.
    With `prefix`, (C, n) image tokens, every candidate of a caption begins with that caption's row and is completed (Fig. 2d).
    With `work_folder`, a folder of this call's own that outlives a killed process, what was drawn before is not drawn again.
    On a CPU groups of captions are drawn side by side, each on one core.
    """
    check_filters(temperature, top_k, top_p)
    if num_candidates < 1 or batch_size < 1:
        raise ValueError(f"num_candidates and batch_size must be at least 1, got {num_candidates} and {batch_size}")
    _check_captions(prior, text_tokens, caption_ids, prefix)
    prior.to(device).eval()
    if prefix is None:
        prefix = text_tokens.new_empty(len(caption_ids), 0)
    draw = partial(draw_tokens, temperature=temperature, top_k=top_k, top_p=top_p)

    def sample_group(captions: slice) -> np.ndarray:
        parts = []
        # autocast keeps the weights it has cast, but not in inference mode
        with torch.no_grad(), autocast(device, precision):
            text_cache = prior.prefill(text_tokens[captions].to(device))
            for candidates in _slices(num_candidates, batch_size):
                numbers = range(num_candidates)[candidates]
                uniform = torch.from_numpy(uniforms(seed, caption_ids[captions], numbers, prior.config.num_positions))
                given = prefix[captions].repeat_interleave(len(numbers), 0).to(device)
                drawn = _decode(prior, text_cache.for_candidates(len(numbers)), uniform.to(device), given, draw)
                parts.append(drawn.cpu().numpy().astype(np.uint16).reshape(-1, len(numbers), drawn.shape[1]))
        return np.concatenate(parts, axis=1)

    groups = _slices(len(caption_ids), max(1, batch_size // num_candidates))
    image_tokens = np.empty((len(caption_ids), num_candidates, prior.config.num_positions), dtype=np.uint16)
    sampled = side_by_side(lambda group: _once(work_folder, group, sample_group), groups, device)
    for captions, drawn in zip(groups, track(sampled, what="sample", unit="batches", total=len(groups)), strict=True):
        image_tokens[captions] = drawn
    return image_tokens


def side_by_side(work: Callable[[slice], np.ndarray], groups: Sequence[slice], device: str) -> Iterator[np.ndarray]:
    """`work` of each group, in order: on a CPU in as many threads as torch has, each with one; elsewhere one by one."""
    if device != "cpu":
        yield from map(work, groups)
        return
    with ThreadPoolExecutor(torch.get_num_threads(), initializer=torch.set_num_threads, initargs=(1,)) as pool:
        yield from pool.map(work, groups)


def _once(folder: Path | None, captions: slice, work: Callable[[slice], np.ndarray]) -> np.ndarray:
    """`work(captions)`, or what an earlier process has kept of it in `folder`."""
    if folder is None:
        return work(captions)
    file = folder / f"captions-{captions.start}-{captions.stop}.npy"
    if not file.exists():
        temporary = file.with_name(f".{file.name}")
        np.save(temporary, work(captions))
        os.replace(temporary, file)
    return np.load(file)


def uniforms(seed: int, caption_ids: Sequence[str], candidates: Sequence[int], num_positions: int) -> np.ndarray:
    """The numbers in [0, 1) that decide every token of these candidates, float64 (C * N, G*G)."""
    generators = [numpy_generator(seed, "sample", name, number) for name in caption_ids for number in candidates]
    return np.stack([generator.random(num_positions) for generator in generators])


def draw_tokens(logits: Tensor, uniform: Tensor, *, temperature: float, top_k: int | None, top_p: float | None) -> Tensor:
    """Tokens (B,) of logits (B, K), drawn at `uniform` (B,) in [0, 1) after temperature, top-k and top-p."""
    return draw_indices(filtered(logits.float() / temperature, top_k, top_p).softmax(-1), uniform)


def filtered(logits: Tensor, top_k: int | None, top_p: float | None) -> Tensor:
    """Minus infinity for all but the `top_k` likeliest tokens, and for those beyond the likeliest that make up `top_p`."""
    if top_k is not None and top_k < logits.shape[-1]:
        threshold = logits.topk(top_k).values[:, -1:]
        logits = logits.masked_fill(logits < threshold, float("-inf"))
    if top_p is not None and top_p < 1:
        ordered, order = logits.sort(descending=True, stable=True)
        probabilities = ordered.softmax(-1)
        beyond = probabilities.cumsum(-1) - probabilities >= top_p
        logits = logits.masked_fill(torch.zeros_like(beyond).scatter(1, order, beyond), float("-inf"))
    return logits


def check_filters(temperature: float, top_k: int | None, top_p: float | None) -> None:
    """A `ValueError` naming the number that means nothing."""
    if not temperature > 0:
        raise ValueError(f"temperature must be above 0, got {temperature} (for the likeliest token use top_k 1)")
    if top_k is not None and top_k < 1:
        raise ValueError(f"top_k must be at least 1, or empty for all tokens, got {top_k}")
    if top_p is not None and not 0 < top_p <= 1:
        raise ValueError(f"top_p must be in (0, 1], or empty for all tokens, got {top_p}")


def _decode(
    prior: AnyPrior, cache: SamplingCache, uniform: Tensor, prefix: Tensor, draw: Callable[[Tensor, Tensor], Tensor]
) -> Tensor:
    """Image tokens (B, G*G) after the text in `cache`: the first from `prefix` (B, n), the rest drawn by `uniform` (B, G*G)."""
    image_tokens = torch.empty(uniform.shape, dtype=torch.int64, device=uniform.device)
    image_tokens[:, : prefix.shape[1]] = prefix
    for position in range(uniform.shape[1]):
        logits = prior.step(image_tokens[:, position - 1] if position else None, position, cache)
        if position >= prefix.shape[1]:
            image_tokens[:, position] = draw(logits, uniform[:, position])
    return image_tokens


def _slices(total: int, size: int) -> list[slice]:
    return [slice(start, min(start + size, total)) for start in range(0, total, size)]


def _check_captions(prior: AnyPrior, text_tokens: Tensor, caption_ids: Sequence[str], prefix: Tensor | None) -> None:
    if len(text_tokens) != len(caption_ids):
        raise ValueError(f"{len(text_tokens)} rows of text tokens for {len(caption_ids)} caption ids: give one row a caption")
    if len(set(caption_ids)) != len(caption_ids):
        raise ValueError("caption ids repeat: a candidate is drawn from its caption's id, so equal ids give equal images")
    if prior.config.codebook_size > 2**16:
        raise ValueError(f"candidates are stored as uint16, which has no room for a codebook of {prior.config.codebook_size}")
    if prefix is None:
        return
    if prefix.ndim != 2 or len(prefix) != len(caption_ids) or prefix.shape[1] > prior.config.num_positions:
        shape = (len(caption_ids), f"0 to {prior.config.num_positions}")
        raise ValueError(f"the prefix has shape {tuple(prefix.shape)}, expected (captions, image tokens) = {shape}")
    if prefix.numel() and not 0 <= int(prefix.min()) <= int(prefix.max()) < prior.config.codebook_size:
        raise ValueError(f"the prefix holds an image token outside the codebook, 0 to {prior.config.codebook_size - 1}")
