"""How fast the prior trains and samples, beside other implementations of DALL-E where they are at hand (contestants.py).

`make bench` runs it and writes reports/benchmarks/prior.json. One process and one thread; seconds of CPU time, which other
work on the machine moves least; all who are compared take turns. Weights and tokens are random, image tokens are given, so
nobody runs a dVAE. In float32, but for the rows of ours named bf16. Whoever is timed has first been found causal, and to
have the same logits with its cache as without. On a GPU ours alone is measured.
"""

import importlib
import json
import statistics
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch
from contestants import CONV_KERNEL, NUM_IMAGE_TOKENS, Contestant, Ours, Peers, Sizes, find_peers
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from dalle.generation.sampling import sample_candidates
from dalle.training.precision import autocast

OUT = Path("reports/benchmarks/prior.json")
TURNS = 5
BATCH_SIZE = 2
GRIDS = {"paper_grid": Sizes(text_length=256, grid_size=32), "small_grid": Sizes(text_length=64, grid_size=16)}
SPARSE = ("axial_row", "axial_col", "axial_row", "axial_row")  # DALLE-pytorch's; its conv layer is measured apart
DRAWN = {"paper_grid": 128, "small_grid": 256}  # image tokens: of 1,024, and all
CANDIDATES = 64
TOLERANCE = 1e-4  # of logits

GPU_SIZES = Sizes(text_length=256, grid_size=32, text_vocab_size=16384, width=1024, layers=24)
GPU_BATCH_SIZE = {"train": 32, "sample": 64}
PEAKS = {"A100": 312e12, "H100 80GB HBM3": 989e12, "H200": 989e12}  # published bf16 operations a second, dense


@dataclass(frozen=True)
class Entry:
    """What takes part in a comparison: some work, how many parameters do it, and how many turns it gets."""

    work: Callable[[], object]
    parameters: int
    turns: int = TURNS


def compared(what: str, num_tokens: int, entries: dict[str, Entry]) -> dict[str, float]:
    """Median and least CPU seconds of all entries, and how many times as fast as each the one named `ours` is.

    `times_X` is the ratio of the medians over the turns of X, `times_X_low` that of the worst of these turns.
    """
    seconds: dict[str, list[float]] = {who: [] for who in entries}
    for entry in entries.values():
        if entry.turns == TURNS:
            entry.work()  # the first time is slower; what has fewer turns takes too long for one that is not counted
    for turn in range(TURNS):
        for who, entry in entries.items():
            if turn < entry.turns:
                seconds[who].append(cpu_seconds(entry.work))
    result: dict[str, float] = {}
    for who, entry in entries.items():
        median = statistics.median(seconds[who])
        row = {"seconds": median, "seconds_min": min(seconds[who]), "parameters": entry.parameters}
        result |= {f"{what}/{who}_{key}": value for key, value in row.items()}
        result[f"{what}/{who}_tokens_per_second"] = num_tokens / median
        if not who.startswith("ours"):
            ours = seconds["ours"][: entry.turns]
            result[f"{what}/times_{who}"] = median / statistics.median(ours)
            result[f"{what}/times_{who}_low"] = min(theirs / our for theirs, our in zip(seconds[who], ours, strict=True))
    show(what, list(entries), result)
    return result


def show(what: str, names: list[str], result: dict[str, float]) -> None:
    print(f"\n{what:<24}{'parameters':>12}{'median':>11}{'least':>11}{'tokens/s':>10}{'ours is':>10}{'at worst':>10}")
    for who in names:
        parameters, median, least, rate = (
            result[f"{what}/{who}_{key}"] for key in ("parameters", "seconds", "seconds_min", "tokens_per_second")
        )
        ratios = [result.get(f"{what}/times_{who}{end}") for end in ("", "_low")]
        times = "".join(f"{f'{ratio:.2f} x' if ratio else '':>10}" for ratio in ratios)
        print(f"  {who:<22}{parameters / 1e6:>10.2f} M{median:>9.3f} s{least:>9.3f} s{rate:>10,.0f}{times}", flush=True)


def cpu_seconds(work: Callable[[], object]) -> float:
    start = time.process_time()
    work()
    return time.process_time() - start


def num_parameters(*modules: nn.Module) -> int:
    return sum(parameter.numel() for module in modules for parameter in module.parameters() if parameter.requires_grad)


def random_tokens(sizes: Sizes, batch_size: int = BATCH_SIZE) -> tuple[Tensor, Tensor]:
    text = torch.randint(1, sizes.text_vocab_size, (batch_size, sizes.text_length))
    return text, torch.randint(NUM_IMAGE_TOKENS, (batch_size, sizes.num_positions))


@torch.no_grad()
def check_causal(who: str, contestant: Contestant, text: Tensor, image: Tensor) -> None:
    """The logits of a token and of those before it must not move with it, those of the next one must."""
    position = image.shape[1] // 2 + 3
    changed = image.clone()
    changed[:, position:] = (changed[:, position:] + 1) % NUM_IMAGE_TOKENS
    moved = (contestant.image_logits(text, image) - contestant.image_logits(text, changed)).abs().amax((0, 2))
    assert moved[: position + 1].max() < TOLERANCE < moved[position + 1], f"{who} is not causal"


@torch.no_grad()
def check_cache(who: str, contestant: Contestant, text: Tensor, image: Tensor, num_tokens: int) -> None:
    expected, next_logits = contestant.image_logits(text, image), contestant.decoder(text)
    for position in range(num_tokens):
        difference = (next_logits(image[:, :position]) - expected[:, position]).abs().max()
        assert difference < TOLERANCE, f"{who}: with the cache logits of image token {position} differ by {difference:.1e}"


def entries_of(contestants: dict[str, Contestant], work: Callable[[Contestant, str], object], **turns: int) -> dict[str, Entry]:
    """`work(contestant, precision)` for all of them in float32, and for ours in bf16 too."""
    entries = {}
    for who, contestant in contestants.items():
        rows = {who: "fp32", "ours_bf16": "bf16"} if who == "ours" else {who: "fp32"}
        for row, precision in rows.items():
            entries[row] = Entry(partial(work, contestant, precision), num_parameters(contestant.model), turns.get(row, TURNS))
    return entries


def train_step(text: Tensor, image: Tensor, contestant: Contestant, precision: str) -> None:
    """Forward and backward; no optimizer."""
    contestant.model.zero_grad(set_to_none=True)
    with autocast(text.device.type, precision):
        loss = contestant.loss(text, image)
    loss.backward()


@torch.no_grad()
def draw_images(text: Tensor, num_tokens: int, contestant: Contestant, precision: str) -> Tensor:
    """The first `num_tokens` image tokens, (B, num_tokens)."""
    tokens = text.new_empty(len(text), 0)
    with autocast(text.device.type, precision):
        next_logits = contestant.decoder(text)
        for _ in range(num_tokens):
            tokens = torch.cat([tokens, contestant.draw(next_logits(tokens))[:, None]], 1)
    return tokens


def training(grid: str, peers: Peers) -> dict[str, float]:
    """Forward and backward of the whole model, with the paper's masks and dense, beside the peers."""
    sizes = GRIDS[grid]
    text, image = random_tokens(sizes)
    contestants = {"ours": Ours(sizes), "ours_dense": Ours(sizes, mask="full")}
    if "dalle_pytorch" in peers:
        contestants["dalle_pytorch"] = peers["dalle_pytorch"](sizes, attention=SPARSE)
    contestants |= {who: peers[who](sizes) for who in ("ru_dalle", "mindalle") if who in peers}
    for who, contestant in contestants.items():
        check_causal(who, contestant, text, image)
    entries = entries_of(contestants, partial(train_step, text, image))
    return compared(f"train_{grid}", text.numel() + image.numel(), entries)


def sampling(grid: str, peers: Peers) -> dict[str, float]:
    """Drawing tokens with a cache, text included: DALLE-pytorch as published, and dense and sparse with its cache repaired."""
    sizes, num_tokens = GRIDS[grid], DRAWN[grid]
    text, image = random_tokens(sizes)
    contestants = {"ours": Ours(sizes), "ours_dense": Ours(sizes, mask="full")}
    if "dalle_pytorch" in peers:
        build = peers["dalle_pytorch"]
        contestants["dalle_pytorch_dense"] = build(sizes, attention=("full",))
        contestants["dalle_pytorch_sparse"] = build(sizes, attention=SPARSE, for_inference=True)
    contestants |= {who: peers[who](sizes) for who in ("ru_dalle", "mindalle") if who in peers}
    for who, contestant in contestants.items():
        check_causal(who, contestant, text, image)
        check_cache(who, contestant, text, image, 2 * sizes.grid_size + 8)
    if "dalle_pytorch" in peers:
        contestants["dalle_pytorch_published"] = build(sizes, attention=("full",), repaired=False)
    entries = entries_of(contestants, partial(draw_images, text, num_tokens), ru_dalle=2, dalle_pytorch_published=1)
    return compared(f"sample_{grid}", len(text) * num_tokens, entries)


def convolution_layer(peers: Peers) -> dict[str, float]:
    """One layer of convolutional attention with its projections, forward and backward.

    DALLE-pytorch's window is anchored at its lower right corner, so it has about twice the keys of ours and the paper's;
    its models have it 5 wide, not the paper's 11.
    """
    sizes = Sizes(text_length=256, grid_size=32, layers=1)
    prior = Ours(sizes, mask="convolution").model
    layers = {"ours": prior_attention(prior, sizes)}
    modules = {"ours": prior.blocks[0].attention}
    if "dalle_pytorch" in peers:
        build = importlib.import_module("dalle_pytorch.attention").SparseConvCausalAttention
        length = sizes.text_length + sizes.num_positions
        for who, kernel in (("dalle_pytorch", CONV_KERNEL), ("dalle_pytorch_kernel_5", 5)):
            shape = {"image_size": sizes.grid_size, "kernel_size": kernel, "heads": sizes.heads, "dim_head": 64}
            layers[who] = modules[who] = build(sizes.width, length, **shape)
    hidden = torch.randn(BATCH_SIZE, sizes.text_length + sizes.num_positions, sizes.width, requires_grad=True)
    gradient = torch.randn_like(hidden)
    entries = {}
    for who, layer in layers.items():
        check_layer_causal(who, layer, hidden.detach())
        entries[who] = Entry(partial(attend, hidden, gradient, layer, "fp32"), num_parameters(modules[who]))
    entries["ours_bf16"] = Entry(partial(attend, hidden, gradient, layers["ours"], "bf16"), entries["ours"].parameters)
    return compared("convolution_layer", hidden.shape[0] * hidden.shape[1], entries)


def attend(hidden: Tensor, gradient: Tensor, layer: Callable[[Tensor], Tensor], precision: str) -> None:
    with autocast("cpu", precision):
        attended = layer(hidden)
    attended.float().backward(gradient)


def prior_attention(prior: nn.Module, sizes: Sizes) -> Callable[[Tensor], Tensor]:
    """The attention of a prior of one layer, given beside the hidden states whatever the prior's own forward pass gives it."""
    attention, given = prior.blocks[0].attention, []
    hook = attention.register_forward_pre_hook(lambda _, inputs, named: given.extend([inputs[1:], named]), with_kwargs=True)
    prior(*random_tokens(sizes))
    hook.remove()
    others, named = given
    return lambda hidden: attention(hidden, *others, **named)


@torch.no_grad()
def check_layer_causal(who: str, layer: Callable[[Tensor], Tensor], hidden: Tensor) -> None:
    slot = 3 * hidden.shape[1] // 4
    changed = hidden.clone()
    changed[:, slot:] += 1
    moved = (layer(hidden) - layer(changed)).abs().amax((0, 2))
    assert moved[:slot].max() < TOLERANCE < moved[slot], f"{who} is not causal"


def heads_and_loss(peers: Peers) -> dict[str, float]:
    """From the hidden states to the loss and back at the paper's vocabularies: two heads, or one over both, then masked.

    There is no row in bf16: our logits are float32 in either precision.
    """
    sizes = Sizes(text_length=256, grid_size=32, text_vocab_size=16384 - 256, layers=1)
    text, image = random_tokens(sizes)
    hidden = torch.randn(BATCH_SIZE, sizes.text_length + sizes.num_positions, sizes.width, requires_grad=True)
    ours = Ours(sizes)
    ours.model.hidden = lambda *_: hidden.split([sizes.text_length, sizes.num_positions], 1)
    parameters = num_parameters(ours.model.text_head, ours.model.image_head)
    step = partial(train_step, text, image)
    entries = {"ours": Entry(partial(step, ours, "fp32"), parameters)}
    if "dalle_pytorch" in peers:
        theirs = peers["dalle_pytorch"](sizes, attention=("full",))
        theirs.model.transformer = Given(hidden)
        entries["dalle_pytorch"] = Entry(partial(step, theirs, "fp32"), num_parameters(theirs.model.to_logits))
    return compared("heads_and_loss", text.numel() + image.numel(), entries)


class Given(nn.Module):
    """In place of a transformer: these hidden states, whatever comes in."""

    def __init__(self, hidden: Tensor) -> None:
        super().__init__()
        self.hidden = hidden

    def forward(self, tokens: Tensor, **_: object) -> Tensor:
        return self.hidden


def candidates(grid: str, peers: Peers) -> dict[str, float]:
    """Whole images for one caption, at temperature 1: its text run and kept once, or, as minDALL-E does, once a candidate."""
    sizes = GRIDS[grid]
    text, _ = random_tokens(sizes, 1)
    ours, copies = Ours(sizes), text.expand(CANDIDATES, -1)
    parameters = num_parameters(ours.model)
    turns = {"paper_grid": 2, "small_grid": 3}[grid]
    entries = {
        "ours": Entry(partial(sample, ours, text, CANDIDATES), parameters, turns),
        "ours_bf16": Entry(partial(sample, ours, text, CANDIDATES, "bf16"), parameters, turns - 1),
        "text_for_each": Entry(partial(sample, ours, copies, 1), parameters, turns),
    }
    if "mindalle" in peers and grid == "small_grid":
        theirs = peers["mindalle"](sizes, top_k=None)
        work = partial(draw_images, copies, sizes.num_positions, theirs, "fp32")
        entries["mindalle"] = Entry(work, num_parameters(theirs.model), 1)
    return compared(f"candidates_{grid}", CANDIDATES * sizes.num_positions, entries)


def sample(ours: Ours, text: Tensor, num_candidates: int, precision: str = "fp32", device: str = "cpu") -> None:
    sample_candidates(
        ours.model,
        text,
        [str(row) for row in range(len(text))],
        num_candidates=num_candidates,
        temperature=1.0,
        top_k=None,
        top_p=None,
        seed=0,
        batch_size=CANDIDATES,
        device=device,
        precision=precision,
    )


def on_gpu() -> dict[str, float]:
    """Ours in bf16 at a third of a billion parameters: wall clock, after one turn that is not counted."""
    ours = Ours(GPU_SIZES)
    ours.model.to("cuda")
    text, image = (tokens.to("cuda") for tokens in random_tokens(GPU_SIZES, GPU_BATCH_SIZE["train"]))
    step = partial(train_step, text, image, ours, "bf16")
    with FlopCounterMode(display=False) as counter:
        step()
    seconds = gpu_seconds(step)
    captions, _ = random_tokens(GPU_SIZES, GPU_BATCH_SIZE["sample"])
    result = {
        "gpu/parameters": num_parameters(ours.model),
        "gpu/train_tokens_per_second": (text.numel() + image.numel()) / seconds,
        "gpu/sample_images_per_second": len(captions) / gpu_seconds(partial(sample, ours, captions, 1, "bf16", "cuda")),
    }
    for device, peak in PEAKS.items():
        if device in torch.cuda.get_device_name():
            result["gpu/train_share_of_peak"] = counter.get_total_flops() / seconds / peak
    print(f"\n{torch.cuda.get_device_name()}:", json.dumps(result, indent=2))
    return result


def gpu_seconds(work: Callable[[], object]) -> float:
    work()
    seconds = []
    for _ in range(TURNS):
        torch.cuda.synchronize()
        start = time.perf_counter()
        work()
        torch.cuda.synchronize()
        seconds.append(time.perf_counter() - start)
    return statistics.median(seconds)


def main() -> None:
    warnings.filterwarnings("ignore", category=FutureWarning)  # of what peers use that torch is to lose
    torch.set_num_threads(1)
    torch.manual_seed(0)
    peers = find_peers()
    for who in ("dalle_pytorch", "ru_dalle", "mindalle"):
        if who not in peers:
            print(f"{who} is not at hand, its rows are left out: tests/benchmarks/contestants.py says where it is looked for")
    result: dict[str, float] = {}
    for grid in GRIDS:
        result |= training(grid, peers) | sampling(grid, peers) | candidates(grid, peers)
    result |= convolution_layer(peers) | heads_and_loss(peers)
    if torch.cuda.is_available():
        result |= on_gpu()
    OUT.parent.mkdir(parents=True, exist_ok=True)
    OUT.write_text(json.dumps({key: float(f"{value:.4g}") for key, value in sorted(result.items())}, indent=2) + "\n")


if __name__ == "__main__":
    main()
