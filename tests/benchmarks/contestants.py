"""Our prior and other implementations of DALL-E behind one interface, so that they can be checked and timed alike.

DALLE-pytorch and ru-dalle are installed by name into the folder DALLE_PEERS (`make bench-peers`), outside this project's
environment; minDALL-E, which PyPI does not have, is read from the checkout whose root MINDALLE names. Who is not there is
left out. All three are older than the packages of today: what they import at their top and use nowhere here is stood in for.
Their models, attention and one-token steps are theirs, as published, but for one repair of DALLE-pytorch's cache.
"""

import importlib
import os
import sys
import types
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dalle.generation.sampling import draw_tokens
from dalle.prior.loss import prior_losses
from dalle.prior.masks import layer_masks
from dalle.prior.model import Prior, PriorConfig, initialise

NUM_IMAGE_TOKENS = 8192
CONV_KERNEL = 11
TOP_K = NUM_IMAGE_TOKENS // 10
IMAGE_LOSS_WEIGHT = 7 / 8


@dataclass(frozen=True, kw_only=True)
class Sizes:
    """Of a model whose heads are 64 wide; to its text vocabulary come the padding ids, one a text position."""

    text_length: int
    grid_size: int
    text_vocab_size: int = 1000
    width: int = 256
    layers: int = 4

    @property
    def heads(self) -> int:
        return self.width // 64

    @property
    def num_text_ids(self) -> int:
        return self.text_vocab_size + self.text_length

    @property
    def num_positions(self) -> int:
        return self.grid_size**2


class Contestant(Protocol):
    """A model over text (B, T) and image tokens (B, G*G); text tokens are from 1, for 0 is padding to some."""

    model: nn.Module

    def loss(self, text: Tensor, image: Tensor) -> Tensor:
        """1/8 of the text's cross-entropy and 7/8 of the image's."""

    def image_logits(self, text: Tensor, image: Tensor) -> Tensor:
        """(B, G*G, K) in one pass."""

    def decoder(self, text: Tensor) -> Callable[[Tensor], Tensor]:
        """A function from the image tokens so far, (B, n), to the logits (B, K) of the next, to be called for n = 0, 1, ..."""

    def draw(self, logits: Tensor) -> Tensor:
        """Tokens (B,) of the likeliest tenth of the vocabulary."""


class Ours:
    """The prior of this project, with the paper's masks unless another is named for every layer."""

    def __init__(self, sizes: Sizes, *, mask: str | None = None) -> None:
        config = PriorConfig(
            text_vocab_size=sizes.text_vocab_size,
            text_length=sizes.text_length,
            codebook_size=NUM_IMAGE_TOKENS,
            grid_size=sizes.grid_size,
            layers=sizes.layers,
            width=sizes.width,
            heads=sizes.heads,
            conv_kernel=CONV_KERNEL,
            masks=tuple(layer_masks(sizes.layers)) if mask is None else (mask,) * sizes.layers,
        )
        self.model = Prior(config)
        initialise(self.model, torch.Generator().manual_seed(0))

    def loss(self, text: Tensor, image: Tensor) -> Tensor:
        return prior_losses(self.model, text, image, loss_on_padding=True).total(IMAGE_LOSS_WEIGHT)

    def image_logits(self, text: Tensor, image: Tensor) -> Tensor:
        return self.model(text, image)[1]

    def decoder(self, text: Tensor) -> Callable[[Tensor], Tensor]:
        cache = self.model.prefill(text).for_candidates(1)

        def next_logits(tokens: Tensor) -> Tensor:
            position = tokens.shape[1]
            return self.model.step(tokens[:, -1] if position else None, position, cache)

        return next_logits

    def draw(self, logits: Tensor) -> Tensor:
        return draw_tokens(logits, torch.rand(len(logits)), temperature=1.0, top_k=TOP_K, top_p=None)


class DallePytorch:
    """lucidrains' DALLE-pytorch, with learned positions and without token shifts, as in the paper.

    Its sampling takes a cache and then runs without it; `repaired` passes the cache on, as its authors meant it. With
    `for_inference`, an option of theirs, row and column layers have a cache too.
    """

    def __init__(self, sizes: Sizes, *, attention: tuple[str, ...], repaired: bool = True, for_inference: bool = False) -> None:
        self.theirs = importlib.import_module("dalle_pytorch.dalle_pytorch")
        vae = self.theirs.DiscreteVAE(
            image_size=8 * sizes.grid_size, num_layers=3, num_tokens=NUM_IMAGE_TOKENS, codebook_dim=8, hidden_dim=8
        )
        self.model = self.theirs.DALLE(
            dim=sizes.width,
            vae=vae,
            num_text_tokens=sizes.text_vocab_size,
            text_seq_len=sizes.text_length,
            depth=sizes.layers,
            heads=sizes.heads,
            dim_head=64,
            attn_types=attention,
            rotary_emb=False,
            shift_tokens=False,
            optimize_for_inference=for_inference,
        )
        if repaired:
            self.model.forward_with_cond_scale = lambda text, image, cond_scale, cache: self.model(text, image, cache=cache)
        self.num_text_ids, self.text_length = sizes.num_text_ids, sizes.text_length

    def loss(self, text: Tensor, image: Tensor) -> Tensor:
        return self.model(text, image, return_loss=True)

    def image_logits(self, text: Tensor, image: Tensor) -> Tensor:
        return self.model(text, image)[:, self.text_length :, self.num_text_ids :]

    def decoder(self, text: Tensor) -> Callable[[Tensor], Tensor]:
        cache: dict = {}

        def next_logits(tokens: Tensor) -> Tensor:
            logits = self.model.forward_with_cond_scale(text, tokens, cond_scale=1, cache=cache)
            return logits[:, -1, self.num_text_ids :]

        return next_logits

    def draw(self, logits: Tensor) -> Tensor:
        return self.theirs.gumbel_sample(self.theirs.top_k(logits, thres=0.9))


class RuDalle:
    """ai-forever's ru-dalle: the paper's masks over dense scores. v2 is the version that trains the first image token."""

    def __init__(self, sizes: Sizes) -> None:
        self.model = importlib.import_module("rudalle.dalle.model").DalleModel(
            "cpu",
            sizes.layers,
            sizes.num_text_ids,
            sizes.width,
            sizes.heads,
            *(0.0, 0.0, 0.0),  # dropout
            text_seq_length=sizes.text_length,
            image_tokens_per_dim=sizes.grid_size,
            image_vocab_size=NUM_IMAGE_TOKENS,
            mlp_activation="gelu",
            is_bool_mask=False,
            hf_version="v2",
        )
        length = sizes.text_length + sizes.num_positions
        self.causal = torch.ones(1, 1, length, length).tril()
        self.num_text_ids, self.text_length = sizes.num_text_ids, sizes.text_length

    def loss(self, text: Tensor, image: Tensor) -> Tensor:
        return self.model(torch.cat([text, image], 1), self.causal, return_loss=True)[0]

    def image_logits(self, text: Tensor, image: Tensor) -> Tensor:
        logits, _ = self.model(torch.cat([text, image], 1), self.causal)
        return logits[:, self.text_length :, self.num_text_ids :]

    def decoder(self, text: Tensor) -> Callable[[Tensor], Tensor]:
        cache = None

        def next_logits(tokens: Tensor) -> Tensor:
            nonlocal cache
            logits, cache = self.model(torch.cat([text, tokens], 1), self.causal, use_cache=True, cache=cache)
            return logits[:, -1, self.num_text_ids :]

        return next_logits

    def draw(self, logits: Tensor) -> Tensor:
        """Written out, because the function it imports for this is gone from transformers."""
        values, tokens = logits.topk(TOP_K)
        return tokens.gather(1, values.softmax(-1).multinomial(1)).squeeze(1)


class MinDalle:
    """kakaobrain's minDALL-E: dense attention, separate heads, a cache that is concatenated anew at every token."""

    def __init__(self, sizes: Sizes, *, top_k: int | None = TOP_K) -> None:
        self.top_k = top_k
        shape = types.SimpleNamespace(
            n_layers=sizes.layers,
            n_dense_layers=sizes.layers,
            embed_dim=sizes.width,
            n_heads=sizes.heads,
            ctx_len_img=sizes.num_positions,
            ctx_len_txt=sizes.text_length,
            embd_pdrop=0.0,
            resid_pdrop=0.0,
            attn_pdrop=0.0,
            mlp_bias=True,
            attn_bias=True,
            gelu_use_approx=False,
        )
        transformer = importlib.import_module("mindalle_stage2.transformer")
        self.top_k_logits = importlib.import_module("mindalle_utils.sampling").cutoff_topk_logits
        self.model = transformer.Transformer1d(sizes.num_text_ids, NUM_IMAGE_TOKENS, shape)
        self.text_positions, self.image_positions = torch.arange(sizes.text_length), torch.arange(sizes.num_positions)

    def loss(self, text: Tensor, image: Tensor) -> Tensor:
        image_logits, text_logits = self.model(image, text, self.image_positions, self.text_positions)
        text_loss = F.cross_entropy(text_logits.flatten(0, 1), text[:, 1:].flatten())
        image_loss = F.cross_entropy(image_logits.flatten(0, 1), image.flatten())
        return (1 - IMAGE_LOSS_WEIGHT) * text_loss + IMAGE_LOSS_WEIGHT * image_loss

    def image_logits(self, text: Tensor, image: Tensor) -> Tensor:
        return self.model(image, text, self.image_positions, self.text_positions)[0]

    def decoder(self, text: Tensor) -> Callable[[Tensor], Tensor]:
        past: list[Tensor] = []

        def next_logits(tokens: Tensor) -> Tensor:
            position = tokens.shape[1]
            last, where = (tokens[:, -1:], self.image_positions[position - 1]) if position else (None, None)
            logits, present = self.model.sampling(last, text, where, self.text_positions, use_fp16=False, past=past or None)
            past.append(torch.stack(present))
            return logits

        return next_logits

    def draw(self, logits: Tensor) -> Tensor:
        return self.top_k_logits(logits, self.top_k).softmax(-1).multinomial(1).squeeze(1)


Peers = dict[str, Callable[..., Contestant]]


def find_peers() -> Peers:
    """Those of DALLE-pytorch, ru-dalle and minDALL-E that are at hand, ready to be built."""
    found: Peers = {}
    installed = Path(os.environ.get("DALLE_PEERS", ""))
    if (installed / "dalle_pytorch").is_dir() and (installed / "rudalle").is_dir():
        sys.path.append(str(installed))  # for what the two need; last, so that nothing of the project's own is hidden
        stand_in("taming.models.vqgan", "VQModel", "GumbelVQ")
        package_without_init("dalle_pytorch", installed / "dalle_pytorch")
        package_without_init("rudalle.dalle", installed / "rudalle/dalle")
        found |= {"dalle_pytorch": DallePytorch, "ru_dalle": RuDalle}
    checkout = Path(os.environ.get("MINDALLE", ""))
    if (checkout / "dalle/models/stage2/transformer.py").is_file():
        package_without_init("mindalle_stage2", checkout / "dalle/models/stage2")
        package_without_init("mindalle_utils", checkout / "dalle/utils")
        found["mindalle"] = MinDalle
    stand_in("omegaconf", "OmegaConf")
    return found


def package_without_init(name: str, folder: Path) -> None:
    """Import `folder` as the package `name`, but not its __init__, which pulls in far more than a model."""
    module = stand_in(name)
    module.__path__ = [str(folder)]


def stand_in(name: str, *classes: str) -> types.ModuleType:
    """A module, and the packages above it, with nothing but empty classes in it."""
    parent = name.rpartition(".")[0]
    if parent:
        stand_in(parent)
    module = sys.modules.setdefault(name, types.ModuleType(name))
    for each in classes:
        setattr(module, each, type(each, (), {}))
    return module
